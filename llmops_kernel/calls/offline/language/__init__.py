"""Reading text without a language model: words, stems, sentences, typed values."""
