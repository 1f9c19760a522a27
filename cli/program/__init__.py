"""The program run on paper, with no engine and no cluster: what it would register, written, drawn and judged."""
