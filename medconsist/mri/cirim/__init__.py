"""Cascades of independently recurrent inference machines: network, training, weights."""
