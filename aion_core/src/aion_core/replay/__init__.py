"""Replay: how commands and recorded history are held against each other."""
