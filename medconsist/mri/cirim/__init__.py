"""Cascades of independently recurrent inference machines: network and importers."""
