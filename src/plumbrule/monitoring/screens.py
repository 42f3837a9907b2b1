"""Cheap looks at every conversation: what a constitution's own words find."""

from plumbrule.constitution import Constitution
from plumbrule.constitution.words import find_words, holds_words
from plumbrule.monitoring.rulings import Screen
from plumbrule.monitoring.traffic import LiveExchange


def word_screen(constitution: Constitution) -> Screen:
    """Look for each principle's `words` in replies.

    Args:
        constitution: The principles; those without words are never named.
    """
    entries = [(each.id, list(each.words)) for each in constitution.principles if each.words]
    every = [entry for _, words in entries for entry in words]

    def look(conversation: LiveExchange) -> frozenset[str]:
        text = conversation.reply or ""
        find = find_words if text.isascii() else holds_words  # marks that nobody sees are no ASCII
        if not find(text, every):  # as nearly always: one search in place of many
            return frozenset()
        return frozenset(name for name, words in entries if find(text, words))

    return look
