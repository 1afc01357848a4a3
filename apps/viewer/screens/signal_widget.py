"""The widget of the signal screen."""

from screens.widget import FOLDER, widget

__all__ = ["signal_widget"]

signal_widget = widget(
    "signal",
    (
        "signal_sheet.js",
        "signal_samples.js",
        "signal_marks.js",
        "signal_acts.js",
        "signal_events.js",
        "signal.js",
        "signal_tools.js",  # its table of keys names what those before define
    ),
    html=(FOLDER / "signal.html").read_text("utf-8"),
)
