"""A page of tables in one file: no script, nothing fetched, every text escaped."""

from dataclasses import dataclass
from html import escape

import medconsist

__all__ = ["Table", "page"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
table { border-collapse: collapse; margin: .5rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
         border-bottom: 1px solid #d0d7de; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; font-size: 12px; }
.notice { border-left: 4px solid #9a6700; padding-left: .8rem; }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117; }
                                      th, td { border-color: #30363d; } }
"""


@dataclass(frozen=True)
class Table:
    """Rows below a heading.

    Parameters
    ----------
    title, header, rows
        Plain text.
    more
        A long text for each row, folded away; empty ones and none at all are left out.

    Examples
    --------
    >>> Table("Cases", ("case",), (("c7",),)).more
    ()
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: tuple[str, ...] = ()


def page(title: str, *tables: Table) -> str:
    """Return the page; tables without a row are left out.

    Examples
    --------
    >>> "<script>" in page("<script>", Table("t", ("a",), (("<b>",),)))
    False
    """
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="notice">{escape(medconsist.RESEARCH_USE_ONLY)}</p>',
        *(_table(table) for table in tables if table.rows),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    head = f"<thead><tr>{heads}</tr></thead>" if any(table.header) else ""
    more = table.more or ("",) * len(table.rows)
    rows = (_row(row, text) for row, text in zip(table.rows, more, strict=True))
    body = "\n".join(rows)
    return f"<h2>{escape(table.title)}</h2>\n<table>{head}<tbody>\n{body}\n</tbody></table>"


def _row(row: tuple[str, ...], more: str) -> str:
    cells = [escape(cell) for cell in row]
    if more:
        cells[-1] += f"<details><summary>traceback</summary><pre>{escape(more)}</pre></details>"
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
