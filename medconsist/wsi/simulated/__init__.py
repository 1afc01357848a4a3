"""Parts of the slide simulator; its entry point is :mod:`medconsist.wsi.simulate`."""
