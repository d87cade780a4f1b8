"""LoRA fine-tunes of a frozen language model: one family of campaigns."""
