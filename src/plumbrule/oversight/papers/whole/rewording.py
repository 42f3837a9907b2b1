"""Rewrites sentences about effects into plain comparisons, so that one reader understands them all.

`The superiority of the controls in recall is puzzling` says that recall was greater in the
controls; `why recall fell is unknown` says that recall fell. Each rule turns one construction into
the words that the reader of effects knows, and leaves other sentences as they are.
"""

import re

_TREATED = (
    r"(?:treatment|intervention|experimental|active|trained|treated|training|exercise"
    r"|program(?:me)?)"
)
_CONTROL = r"(?:wait(?:ing)?-?\s?list(?:ed)?|controls?|placebo|comparison|sham|untreated)"
_ARM = (
    rf"(?:(?:the )?(?:{_TREATED}|{_CONTROL})(?: (?:groups?|arms?|conditions?|participants|people"
    r"|patients|students|adults|volunteers))?|women|men|girls|boys|older (?:adults|people)"
    r"|younger (?:adults|people))"
)
_UP = r"(?:rise|increase|growth|gain|improvement|boost|upturn|surge|jump|lift|climb|enhancement)"
_DOWN = (
    r"(?:fall|decrease|decline|drop|reduction|loss|dip|slump|worsening|deterioration|downturn"
    r"|lessening|lowering|shortening)"
)
_TAIL = (
    r"(?: (?:is|was|are|were|calls?|may|might|could|can|cannot|deserves?|came|comes|surprised"
    r"|suggests?|raises? (?:the )?questions?|remains?|needs?|has|have|speaks?|points?|shows?|fits"
    r"|agrees|cannot|must|should|took us|stands|did not|does not)\b.*)?"
)
_GROUP_WORDS = (
    (r"\b(?:those|people|participants|patients|adults|students|volunteers|the ones) (?:who|that)"
     r" (?:had |have |were |was |did |went )?(?:not(?: been| received?| had)?(?: treated| trained"
     r"| the treatment| it| any| given it)?|without(?: treatment| it)?|untreated)\b", "controls"),
    (r"\b(?:those|people|participants|patients|adults|students|volunteers|the ones) (?:who|that)"
     r" (?:had |have |were |was |did )?(?:been )?(?:treated|trained|given (?:the )?(?:treatment"
     r"|training|program\w*)|received (?:the )?(?:treatment|training|program\w*|intervention)"
     r"|took part in the (?:program\w*|course|training)|completed the (?:program\w*|course))\b",
     "the treated"),
    (r"\b(?:with|under|during|on|in) (?:the )?treatment than without(?: it)?\b",
     "in the treatment group than in controls"),
    (r"\bthan without(?: (?:it|treatment|the treatment|the program\w*|training))?\b",
     "than in controls"),
    (r"\bthe (?:others|rest|untreated|non-recipients)\b", "controls"),
    (r"\b(?:recipients of (?:the )?(?:treatment|training|program\w*)|program graduates)\b",
     "the treated"),
    (r"\bthe counterparts? in (?:the )?", "in the "),
)  # fmt: skip
_RULES: tuple[tuple[str, str], ...] = (
    # Openers that only stage a statement.
    (r"^(?:what (?:\w+ ){1,4}?(?:is|was)|it (?:is|was) (?:\w+ ){1,4}?|the fact|one finding is"
     r"|our main finding is|the main (?:result|finding) (?:is|was)|that is to say,?) that ", ""),
    (r"^that (.+?),? (?:is|was|deserves|came as|surprised|may|might|calls|speaks|agrees|fits)"
     r" (?!in |lower|higher|more|less|better|worse|longer|shorter|greater|smaller).*$", r"\1"),
    (r"^(?:the reasons? (?:for which|why)|why|how) (?:it (?:is|was) that )?(.+?) (?:cannot|can only"
     r"|is (?:not|un\w+|a matter|an open|hard|still|difficult|beyond|a question)|remains?|we (?:do"
     r" not|cannot|can only)|deserves?|needs? |should be|was not|has yet|calls for).*$", r"\1"),
    (r"^(?:unlike|in contrast to|contrary to|as opposed to|in addition to|besides) [^,]{1,60}, ",
     ""),
    # The comparison first.
    (r"^(?:as )?(?:compared|in comparison|when compared|relative) (?:with|to) ([^,]{1,60}), (.+)$",
     r"\2 compared with \1"),
    (r"^than (?:was |were )?(?:in )?([^,]{1,40}), (.+)$", r"\2 than in \1"),
    # Nouns of advantage and lead.
    (rf"(?:\bthe )?\b(?:superiority|lead|edge|dominance) of ({_ARM})(?: over (?:{_ARM}))? (?:in"
     rf"|on|for"
     rf"|regarding|with respect to|as regards) ([\w-]+(?: [\w-]+){{0,3}}?){_TAIL}$",
     r"\2 was greater in \1"),
    (rf"(?:\bthe )?\b(?:advantage|benefit) (?:of|for|to) ({_ARM})(?: over (?:{_ARM}))? (?:in|on"
     rf"|regarding"
     rf"|with respect to|as regards|in terms of) ([\w-]+(?: [\w-]+){{0,3}}?){_TAIL}$",
     r"\2 was better in \1"),
    (rf"(?:\bthe )?\b(?:inferiority|lag|deficit) of ({_ARM})(?: to (?:{_ARM}))? (?:in|on|for"
     rf"|regarding|with"
     rf" respect to|as regards) ([\w-]+(?: [\w-]+){{0,3}}?){_TAIL}$", r"\2 was smaller in \1"),
    (rf"(?:\bthe )?\b(?:disadvantage|harm) (?:of|for|to) ({_ARM})(?: (?:in|on|regarding|with "
     rf"respect to|as"
     rf" regards|in terms of)) ([\w-]+(?: [\w-]+){{0,3}}?){_TAIL}$", r"\2 was worse in \1"),
    (rf"^(?:the |a )?(?:\w+ )?(?:differences?|comparisons?|results?|scores?|contrasts?)? ?(?:in"
     rf"|on|of"
     rf"|for) ([\w-]+(?: [\w-]+){{0,3}}?) (?:clearly |significantly )?(?:favou?rs|favou?red"
     rf"|favou?ring"
     rf"|(?:was|were|is|are) in favou?r of|went in favou?r of) ({_ARM}).*$",
     r"\1 was better in \2"),
    (rf"^([\w-]+(?: [\w-]+)?) (?:clearly |significantly )?(?:favou?rs|favou?red) ({_ARM}).*$",
     r"\1 was better in \2"),
    (rf"^({_ARM}) (?:had the upper hand|came out (?:ahead|on top)|were ahead|was ahead|led|had the"
     rf" edge|took the lead|excelled|won) (?:in|on|with respect to) (.+)$",
     r"\2 was greater in \1"),
    (rf"^({_ARM}) (?:lagged(?: behind)?|fell behind|came off worse|trailed|were behind|was behind)"
     rf" (?:{_ARM} )?(?:in|on|with respect to) (.+)$", r"\2 was smaller in \1"),
    # Nouns of change with the definite article take the change for granted.
    (rf"^(?:the|this|such an?|our) (?:\w+ ){{0,2}}?({_UP}) (?:in|of) (.+?){_TAIL}$",
     r"\2 increased"),
    (rf"^(?:the|this|such an?|our) (?:\w+ ){{0,2}}?({_DOWN}) (?:in|of) (.+?){_TAIL}$",
     r"\2 decreased"),
    (rf"^(?:over|during|throughout|across|in) ([^,]{{1,60}}?),? (?:a|an|we saw an?|there was an?)"
     rf" (?:\w+ ){{0,2}}?({_UP}) (?:in|of) (.+?) (?:was|were|is|could be)? ?(?:seen|observed|found"
     rf"|noted|recorded)?$", r"\3 increased over \1"),
    (rf"^(?:over|during|throughout|across|in) ([^,]{{1,60}}?),? (?:a|an|we saw an?|there was an?)"
     rf" (?:\w+ ){{0,2}}?({_DOWN}) (?:in|of) (.+?) (?:was|were|is|could be)? ?(?:seen|observed"
     rf"|found"
     rf"|noted|recorded)?$", r"\3 decreased over \1"),
    # Relations.
    (r"\b(?:inversely|negatively) (?:related|tied|linked|proportional)\b", "negatively correlated"),
    (r"\b(?:directly|positively) (?:related|tied|linked|proportional)\b", "positively correlated"),
    (r"\b(?:went hand in hand|rose together|went together|increased together|grew together)\b",
     "were positively correlated"),
    # Time that something takes.
    (r"\b(?:needs?|needed|takes?|took|required|requires?|spent|spends?) (?:significantly "
     r"|clearly )?"
     r"(less|more|longer|shorter)(?: time)?\b", r"took \1 time"),
    (r"\btook ((?:the )?(?:treated|trained|control\w*)(?: \w+)?) (longer|shorter|less|more)"
     r"(?: time)?\b", r"in \1 took \2 time"),
    (r"\bthan it (?:did|took|was|had been) (?:in |for )?", "than in "),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), new) for pattern, new in _RULES)
_COMPILED_GROUPS = tuple((re.compile(pattern), new) for pattern, new in _GROUP_WORDS)
_UNREAL = re.compile(r"\b(?:would|if|had there|should (?:the|this|such)|whether|any)\b")


def reworded(text: str) -> str:
    """A sentence about an effect as a plain comparison, where a rule knows its construction.

    Example:
        >>> reworded("the superiority of the controls in recall is puzzling.")
        'recall was greater in the controls'
        >>> reworded("why recall fell during the study cannot be said.")
        'recall fell during the study'
    """
    plain = text.strip(" .")
    for pattern, new in _COMPILED_GROUPS:
        plain = pattern.sub(new, plain)
    if _UNREAL.search(plain):
        return plain
    for pattern, new in _COMPILED:
        plain = pattern.sub(new, plain, count=1).strip(" ,")
    return plain
