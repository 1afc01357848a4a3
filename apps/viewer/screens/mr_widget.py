"""The widget of the MR screen."""

from screens.widget import widget

__all__ = ["mr_widget"]

mr_widget = widget(
    "mr",
    (
        "mr_volume.js",
        "mr_geometry.js",
        "mr_parts.js",
        "mr_pane.js",
        "mr_marks.js",
        "mr_panes.js",
        "mr_readout.js",
        "mr_controls.js",
        "mr_acts.js",
        "mr.js",
    ),
    html='<div class="mr" role="region" aria-label="Images of the reconstruction"></div>',
)
