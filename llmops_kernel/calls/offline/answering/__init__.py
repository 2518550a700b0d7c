"""Answering in text: selecting sentences, classifying, judging."""
