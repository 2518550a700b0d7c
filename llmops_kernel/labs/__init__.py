"""Material of the labs: a fictional bank's documents and questions, and a day of its traffic."""
