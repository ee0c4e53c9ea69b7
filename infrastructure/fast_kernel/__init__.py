"""The calculation law as compiled machine code over columns: bit-identical to ``domain.kernel``, or it says nothing."""
