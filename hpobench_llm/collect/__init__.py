"""Collect real LoRA fine-tunes over a grid: campaigns in, ledgers and sealed tables out."""
