"""The widget of label and macro images."""

from screens.widget import widget

__all__ = ["slide_labels_widget"]

slide_labels_widget = widget("slide_labels", ("slide_labels.js",))
