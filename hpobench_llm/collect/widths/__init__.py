"""The family `widths`: small language models of several widths, from cold or warm starts."""
