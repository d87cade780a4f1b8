"""HPOBench-LLM."""
