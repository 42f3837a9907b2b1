"""The search for short texts, in no prompt, that switch a tuned model."""
