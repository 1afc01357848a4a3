"""The table of the worklist."""

from screens.widget import widget

__all__ = ["worklist_table"]

worklist_table = widget("worklist", ("worklist.js",))
