"""What a person asks for: the YAML of ``%%finetune``, typed, with the line of every mistake."""
