"""The ways of training as variants of a run: what is imitated, and whose labels reward."""

from dataclasses import replace
from pathlib import Path

from plumbrule.recipes.village import Recipe


def constitutional(recipe: Recipe, *, human_pairs: Path | None = None) -> Recipe:
    """Imitate one's own revisions, then learn from a critic's labels, and from people's if given.

    Args:
        recipe: The run that it is a variant of, such as `village()`.
        human_pairs: File of pairs that people labeled, about help in the paper's case.

    Source:
        Bai et al. (2022), "Constitutional AI", arXiv:2212.08073.
    """
    pairs = None if human_pairs is None else str(human_pairs)
    config = replace(recipe.config, recipe="constitutional", human_pairs=pairs, demonstrations=None)
    return replace(recipe, config=config)


def rlhf(recipe: Recipe, human_pairs: Path, *, demonstrations: Path | None = None) -> Recipe:
    """Imitate people's replies, then learn from people's labels; no critic teaches.

    Args:
        recipe: The run that it is a variant of.
        human_pairs: File of pairs that people labeled.
        demonstrations: File of replies to imitate; None: those that people prefer.

    Source:
        Ouyang et al. (2022), "Training language models to follow instructions with human
        feedback", arXiv:2203.02155: the three steps.
    """
    replies = None if demonstrations is None else str(demonstrations)
    config = replace(
        recipe.config, recipe="rlhf", human_pairs=str(human_pairs), demonstrations=replies
    )
    return replace(recipe, config=config)


def hybrid(recipe: Recipe, human_pairs: Path, *, demonstrations: Path | None = None) -> Recipe:
    """Imitate one's own revisions, then learn from both, each label as sure as it was seen to be.

    Args:
        recipe: The run that it is a variant of.
        human_pairs: File of pairs that people labeled.
        demonstrations: File of replies to imitate beside the revisions.

    Source:
        Miranda et al. (2024), "Hybrid Preferences", arXiv:2410.19133: labels of both kinds in one
        set. Weighing by learned agreement is ours.
    """
    replies = None if demonstrations is None else str(demonstrations)
    config = replace(
        recipe.config, recipe="hybrid", human_pairs=str(human_pairs), demonstrations=replies
    )
    return replace(recipe, config=config)
