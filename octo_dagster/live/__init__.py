"""The live lane: what one order touches, worked out and delivered within seconds."""
