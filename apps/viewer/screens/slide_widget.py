"""The widget of the slide screen."""

from screens.widget import FOLDER, widget

__all__ = ["slide_widget"]

slide_widget = widget(
    "slide",
    (
        "slide_numbers.js",
        "slide_tiles.js",
        "slide_overlay.js",
        "slide_view.js",
        "slide_panes.js",
        "slide_shapes.js",
        "slide.js",
    ),
    html=(FOLDER / "slide.html").read_text("utf-8"),
)
