"""Sub-networks of a fine-tuned language model, measured without training them again."""
