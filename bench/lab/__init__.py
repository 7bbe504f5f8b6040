"""The relay benchmark's parts: nouns in model, arithmetic in rules, everything else touches the machine."""
