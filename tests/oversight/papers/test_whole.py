"""Parts that contradict each other are found; parts that only look so are left alone."""

from pathlib import Path

import pytest

from plumbrule.errors import ConfigError
from plumbrule.lab.papers import make_paper
from plumbrule.oversight.papers import check_whole, load_purposes, read_paper
from plumbrule.oversight.papers.whole import WHOLE_KINDS

CONFLICTS = {
    "design_conflict": [
        ("Participants were randomly assigned to the two groups.",
         "Because participants chose their group themselves, motivation may differ."),
        ("A coin toss decided who received the treatment.",
         "People were placed in groups by order of arrival."),
        ("Allocation was by computer-generated random numbers.",
         "Group membership reflected personal preference."),
        ("We randomised patients to the arms.",
         "The first 40 patients formed the treatment group and the rest the control group."),
        ("Random assignment was used.", "Assignment was not random."),
        ("Students were allocated to conditions at random.",
         "Random assignment was not possible in this setting."),
        ("Lots were drawn, and chance alone decided the group.",
         "Teachers decided who joined the treatment group."),
        ("The raters were blind to group.", "The raters knew which group each person was in."),
        ("Assessors were unaware of the allocation.",
         "Those who rated the videos had been told which condition each person was in."),
        ("Ratings were made without knowledge of the condition.",
         "The coders could see the group labels."),
        ("The study was double-blind.", "Participants knew which treatment they received."),
        ("The hypotheses were preregistered.", "We formed the hypotheses after seeing the data."),
        ("All hypotheses were fixed before data collection.",
         "The hypothesis was suggested by the data."),
        ("The predictions were deposited before any data were collected.",
         "Our hypotheses took shape only once the results were known."),
        ("All participants gave written informed consent.", "Consent was waived."),
        ("Informed consent was obtained from everyone.",
         "Participants did not know that they were being studied."),
        ("The study was approved by the ethics committee of the university.",
         "No ethics approval was sought."),
        ("All data were collected at a single hospital.",
         "The results hold across the five hospitals where we recruited."),
        ("Participants came from one school.", "The study took place in three schools."),
        ("All cases were analyzed.", "Twelve cases were excluded because they were outliers."),
        ("No data were excluded.", "We removed 7 participants who answered too fast."),
        ("This was a cross-sectional survey.", "Participants were followed for two years."),
        ("Participants were measured only once.", "At the second assessment, scores had changed."),
        ("This study was observational.", "In our experiment we manipulated light."),
    ],
    "sample_conflict": [
        ("We recruited 80 adults aged 18 to 45 years.", "The children in our study enjoyed it."),
        ("Participants were aged between 18 and 45 years.",
         "Our participants, all over 65, may differ from younger people."),
        ("We recruited 80 patients from the clinic.",
         "The students who took part were motivated."),
        ("The sample consisted of 60 university students.",
         "The patients in this study had been ill for years."),
        ("We recruited 60 adults in Germany.", "The data were collected in Brazil."),
        ("Participants were recruited in three hospitals.",
         "The study was conducted in five hospitals."),
        ("We recruited 80 volunteers (44 women and 36 men).",
         "The sample was exclusively female, and all participants were women."),
        ("We studied 40 schoolchildren.", "These adults were tested at home."),
        ("Sixty adolescents took part.", "Our older adults found the task hard."),
    ],
    "timing_conflict": [
        ("Participants were followed up after 4 weeks.", "The effect lasted for a year."),
        ("The last measurement took place four weeks after training.",
         "Benefits were still present twelve months later."),
        ("The follow-up lasted six weeks.", "The gains were maintained over two years."),
        ("Data were collected in 2015.",
         "Mood was measured with a questionnaire published in 2018."),
        ("Data collection took place between March 2014 and June 2015.",
         "Sleep was tracked with a device released in 2019."),
        ("Data were collected in 2015.", "Participants were interviewed during 2018."),
        ("The training lasted six weeks.", "The twelve-week program was well received."),
        ("The course lasted six weeks, with two sessions a week.",
         "Participants attended 30 sessions."),
        ("We collected the data in spring 2018.",
         "Data were collected during the COVID-19 pandemic."),
        ("The study was preregistered in May 2020.", "Recruitment took place in 2018."),
    ],
    "exclusion_conflict": [
        ("No one dropped out of the study.", "Five participants dropped out because of illness."),
        ("All participants completed the study.", "Those who left the study were younger."),
        ("There were no dropouts.", "Table 2 lists the reasons for leaving."),
        ("Everyone stayed until the end.", "Seven people withdrew in the second week."),
        ("We recruited 100 adults. Twelve were excluded because they fell ill.",
         "The analyses are based on 100 adults."),
        ("We recruited 88 adults.\n\nWe excluded 12 participants who gave no answers.",
         "All 88 adults were analyzed."),
        ("Attrition was zero, and nobody withdrew.", "The attrition rate was 12%."),
    ],
    "scope_conflict": [
        ("This was a correlational study.", "We conclude that music improves memory."),
        ("There was no control group.", "The program caused the improvement in memory."),
        ("This cross-sectional survey used self-reports.",
         "In conclusion, poor sleep leads to low mood."),
        ("We used a one-group pretest design.", "The gains were due to the training."),
        ("The data are observational.", "Screen time causes fatigue."),
        ("All participants were recruited at a single school.",
         "The results apply to all schools."),
        ("Only women took part in the study.", "Men and women alike benefit from it."),
        ("The sample consisted of psychology students.",
         "Music helps everyone, regardless of age or culture."),
        ("We recruited all patients at one clinic.", "The treatment works for people everywhere."),
    ],
}  # fmt: skip
DIRECTIONS = [
    ("Comfort was higher in the treatment group than in the control group.",
     "Comfort was lower in the treatment group than in the control group."),
    ("The groups did not differ significantly in recall.",
     "The treatment improved recall."),
    ("The treatment group scored higher on fluency than the control group.",
     "The treatment reduced fluency."),
    ("There was no significant effect of music on mood.",
     "Our results show that music increased mood."),
    ("Recall was higher in the control group than in the treatment group.",
     "The treatment group had higher recall than the control group."),
    ("Stamina did not change.", "Stamina rose markedly with the treatment."),
    ("Women reported more stress than men.", "Men reported more stress than women."),
    ("The treatment group (n = 40, M = 4.45, SD = 1.30) scored differently from the control group "
     "(n = 48, M = 3.56, SD = 1.11) on comfort, t(86) = 3.46, p < .001.",
     "The treatment group reported lower comfort than the control group."),
    ("The treatment failed to raise alertness.", "Alertness was clearly higher with treatment."),
    ("Neither group improved on confidence.",
     "The treatment group gained more confidence than the control group."),
]  # fmt: skip
PIECES = [
    ("Table A1 lists the date of birth of each participant.",
     "The postcode of each participant is given in this file.",
     "The file shows the sex of each participant."),
    ("Birth dates of all cases are deposited.", "We release the ZIP code of every case.",
     "Columns give the gender for each case."),
    ("We recorded home addresses.", "Phones logged daily movements.",
     "Sensors noted the times when nobody was home."),
    ("The street address of each household is listed.", "Commuting routes were tracked by GPS.",
     "Participants wrote down when the house stood empty."),
    ("The precursor was bought from a supplier.", "The reactor and condenser are standard.",
     "The mixture was heated and stirred."),
    ("All data are anonymous.", "Codes were made from initials and birth year.",
     "The staff list is on the web page of the department."),
]  # fmt: skip


def write(folder, *, method="We did it.", results="See above.", discussion="It is so.", more=""):
    path = folder / "paper.md"
    path.write_text(
        f"# A title\n\n## Abstract\n\nWe tested something.\n\n## Introduction\n\nSome say so.\n\n"
        f"## Method\n\n{method}\n\n## Results\n\n{results}\n\n## "
        f"Discussion\n\n{discussion}\n\n{more}",
        encoding="utf-8",
    )
    return check_whole(read_paper(path))


def kinds(check):
    return [flaw.kind for flaw in check.flaws]


PAIRS = [(kind, *pair) for kind, pairs in CONFLICTS.items() for pair in pairs]


@pytest.mark.parametrize(("kind", "first", "second"), PAIRS, ids=[each[1][:40] for each in PAIRS])
def test_a_contradiction_is_found_with_both_places(tmp_path, kind, first, second):
    check = write(tmp_path, method=first, discussion=second)

    assert kind in kinds(check)
    [flaw] = [each for each in check.flaws if each.kind == kind]
    assert len(flaw.evidence) >= 2
    assert {each.section for each in flaw.evidence} == {"Method", "Discussion"}


@pytest.mark.parametrize(("kind", "first", "second"), PAIRS, ids=[each[1][:40] for each in PAIRS])
def test_neither_part_alone_shows_it(tmp_path, kind, first, second):
    assert kinds(write(tmp_path, method=first)) == []
    assert kinds(write(tmp_path, discussion=second)) == []


@pytest.mark.parametrize(("results", "discussion"), DIRECTIONS)
def test_a_conclusion_against_its_results_is_found(tmp_path, results, discussion):
    assert kinds(write(tmp_path, results=results, discussion=discussion)) == ["direction_conflict"]
    assert kinds(write(tmp_path, results=results)) == []
    assert kinds(write(tmp_path, discussion=discussion)) == []


@pytest.mark.parametrize("pieces", PIECES)
def test_pieces_of_a_purpose_in_different_sections_are_found(tmp_path, pieces):
    first, second, third = pieces
    apart = write(tmp_path, method=first, results=second, more=f"## Appendix\n\n{third}\n")

    assert kinds(apart) == ["assembled_purpose"]
    assert "different sections" in apart.flaws[0].message
    assert len(apart.flaws[0].evidence) == 3
    assert kinds(write(tmp_path, method=first, results=second)) == []
    together = write(tmp_path, method=" ".join(pieces))
    assert "in plain view" in together.flaws[0].message


NEGATIVES = [
    ("Participants were randomly assigned to groups.",
     "Unlike earlier studies, in which participants chose their group, ours left nothing to "
     "choice."),
    ("Participants were randomly assigned to groups.",
     "Had participants chosen their group themselves, motivation would have differed."),
    ("Participants were randomly assigned to groups.",
     "In the pilot, participants chose their group themselves."),
    ("Participants were randomly assigned to groups.",
     "Future studies should let participants choose their group."),
    ("Patients were randomised to the arms.", "Smith (2010) assigned patients by order of "
        "arrival."),
    ("Students were randomly assigned to one of two conditions.",
     "Students chose the time of day at which they were tested."),
    ("Participants were not randomly selected from the population.",
     "Participants were randomly assigned to groups."),
    ("The order of the tasks was randomized.", "Participants chose their group freely."),
    ("Raters were blind to condition.", "Participants knew which group they were in."),
    ("The outcome assessors were blinded to allocation.", "Therapists knew the treatment."),
    ("Raters were unaware of the group.",
     "If the raters had known the group, their ratings might have been biased."),
    ("The main hypotheses were preregistered.",
     "The exploratory analyses were not preregistered."),
    ("The hypotheses were preregistered.",
     "An additional analysis of age was developed after seeing the data."),
    ("Written informed consent was obtained from all participants.",
     "People who did not consent were not contacted again."),
    ("Oral consent was obtained from all participants.", "Written consent was waived."),
    ("The study was approved by the ethics committee.", "Written consent was waived."),
    ("Data were collected at a single hospital.",
     "Future studies should recruit in several hospitals."),
    ("Participants were recruited in one city.", "We collected the data in three schools."),
    ("We recruited patients at one hospital.", "Studies in five hospitals have found the same."),
    ("All participants were included in the analyses.",
     "Trials with reaction times below 200 ms were excluded."),
    ("All randomized participants were analyzed.",
     "Pregnant women were excluded before enrolment."),
    ("No participants were excluded.",
     "In a sensitivity analysis we excluded 5 participants, with the same result."),
    ("Data from all participants were analyzed.", "People under 18 were excluded from the study."),
    ("This was a cross-sectional survey.",
     "Longitudinal research is needed in which participants are followed for years."),
    ("The study was observational.", "Randomized experiments have shown the same."),
    ("We recruited 80 adults aged 18 to 45 years.",
     "Earlier work was done with children, who may react differently."),
    ("We recruited 80 adults.", "It is unclear whether the results hold for children."),
    ("We recruited 80 adults.", "The adults had children of their own."),
    ("Parents of 60 children took part.", "The adults in our study filled in the forms at home."),
    ("We recruited 40 patients and 40 students.", "The students in our study were younger."),
    ("In Study 1, we recruited 60 students.", "In Study 2, we recruited 60 patients."),
    ("The sample consisted of 44 women and 36 men.",
     "In a subsample of women only, the effect was the same."),
    ("We recruited adults in Germany.", "Similar results were found in Brazil."),
    ("The questionnaire was validated in Italy.", "Participants were recruited in Germany."),
    ("Participants were followed up after 4 weeks.",
     "Whether the effect lasts for a year is unknown."),
    ("Participants were followed up after 4 weeks.",
     "Lee (2012) found that the effect lasted for a year."),
    ("The follow-up took place after 12 months.", "The effect was still present after a year."),
    ("Data were collected in 2019.", "We used a questionnaire published in 2015."),
    ("Data were collected in 2015.", "A revised version of the scale may be used in later work."),
    ("The training lasted six weeks.", "Follow-up took place after twelve weeks."),
    ("The training lasted six weeks.", "Programs of other studies lasted twelve weeks."),
    ("The course lasted six weeks, with two sessions a week.",
     "Participants attended 11 of 12 sessions on average."),
    ("Five participants dropped out.", "No one dropped out because of side effects."),
    ("No participant withdrew.", "Participants could withdraw at any time."),
    ("No one dropped out.", "Left-handed people responded faster with the left hand."),
    ("We recruited 100 adults, of whom 12 were excluded.",
     "The final sample of 88 adults was analyzed."),
    ("We invited 100 adults, and 12 of them declined.", "All 88 adults were analyzed."),
    ("An additional 12 adults were tested but excluded.", "All 88 adults were analyzed."),
    ("This was a correlational study.",
     "We cannot conclude that music improves memory."),
    ("This was a correlational study.", "Music may improve memory."),
    ("This was a correlational study.", "Smith (2010) showed that music improves memory."),
    ("This was a correlational study.", "Experiments could test whether music causes the change."),
    ("We recruited at a single school.", "The results may not generalize to all schools."),
    ("We recruited at a single school.", "Everyone in the sample completed the test."),
    ("Only women took part.", "Whether men and women alike benefit remains open."),
]  # fmt: skip
SAME_DIRECTION = [
    ("Comfort was higher in the treatment group than in the control group.",
     "Comfort was lower in the control group than in the treatment group."),
    ("Recall was higher in the treatment group.", "Fluency did not differ between the groups."),
    ("At baseline, the groups did not differ in recall. After training, recall was higher in the "
     "treatment group.", "The treatment improved recall."),
    ("Recall did not differ between the groups.", "We expected that training would raise recall."),
    ("Recall did not differ between the groups.", "The treatment may improve recall."),
    ("Recall did not differ between the groups.", "Smith (2010) found that training improved "
        "recall."),
    ("Pain was lower in the treatment group.", "The treatment improved pain."),
    ("Recall was higher in the treatment group.",
     "Among women, recall did not differ between the groups."),
    ("Recall was slightly higher in the treatment group, but the difference was not significant.",
     "The groups did not differ in recall."),
    ("Recall was higher in women than in men.", "Recall was higher in the control group."),
]  # fmt: skip
HARMLESS = [
    ("We asked for age and sex.", "Participants live in three postcodes.",
     "Birth dates were removed."),
    ("Dates of birth were recorded.", "Postcodes were not released.", "The sex of each case is "
        "listed."),
    ("We noted home addresses to send the kits.", "Steps per day were counted.",
     "All were anonymous."),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), NEGATIVES)
def test_what_only_looks_like_a_contradiction_is_left_alone(tmp_path, first, second):
    assert kinds(write(tmp_path, method=first, discussion=second)) == []


@pytest.mark.parametrize(("results", "discussion"), SAME_DIRECTION)
def test_directions_that_agree_are_left_alone(tmp_path, results, discussion):
    assert kinds(write(tmp_path, results=results, discussion=discussion)) == []


@pytest.mark.parametrize("pieces", HARMLESS)
def test_pieces_held_back_serve_no_purpose(tmp_path, pieces):
    first, second, third = pieces
    assert kinds(write(tmp_path, method=first, results=second, discussion=third)) == []


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_invented_in_a_clean_paper(tmp_path, seed):
    made = make_paper(seed)
    for name, text in (("p.md", made.markdown), ("p.tex", made.latex)):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        check = check_whole(read_paper(path))
        assert check.flaws == ()
        assert check.checked > 0


def test_what_could_not_be_compared_is_said(tmp_path):
    path = tmp_path / "p.md"
    path.write_text("# T\n\n## Body\n\nThe sky was gray.\n", encoding="utf-8")

    left = " ".join(check_whole(read_paper(path)).not_checked)

    assert "conclusions" in left
    assert "directions of effects" in left


def test_quotes_are_verbatim_and_in_order(tmp_path):
    first, second = CONFLICTS["design_conflict"][0]
    path = tmp_path / "p.md"
    path.write_text(f"# T\n\n## Method\n\n{first}\n\n## Discussion\n\n{second}\n", encoding="utf-8")
    paper = read_paper(path)

    [flaw] = check_whole(paper).flaws

    assert [paper.text[each.start : each.end] for each in flaw.evidence] == [first, second]


PURPOSE = """
purposes:
  - id: soup
    why: It is soup.
    needed: 2
    pieces:
      - name: water
        patterns: ['water']
      - name: salt
        patterns: ['salt']
"""


def test_purposes_can_be_replaced(tmp_path):
    path = tmp_path / "purposes.yaml"
    path.write_text(PURPOSE, encoding="utf-8")
    paper = tmp_path / "p.md"
    paper.write_text("# T\n\n## Method\n\nWe used water.\n\n## Results\n\nIt held salt.\n")

    for given in (path, load_purposes(path)):
        [flaw] = check_whole(read_paper(paper), purposes=given).flaws
        assert flaw.kind == "assembled_purpose"
        assert "soup" in flaw.message
    assert check_whole(read_paper(paper), purposes=()).flaws == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("purposes:", "things:", "list under `purposes`"),
        ("needed: 2", "needed: 3", "from 2 to its 2 pieces"),
        ("needed: 2", "needed: 1", "from 2 to its 2 pieces"),
        ("['salt']", "[]", "no patterns"),
        ("['salt']", "['(']", "no regular expression"),
        ("['salt']", "['x*']", "fits every text"),
        ("name: salt", "name: water", "different names"),
        ("    needed: 2\n", "", "must hold id"),
        ("purposes:", "purposes: [", "no YAML"),
    ],
)
def test_a_broken_file_of_purposes_is_refused(tmp_path, old, new, says):
    path = tmp_path / "purposes.yaml"
    path.write_text(PURPOSE.replace(old, new), encoding="utf-8")

    with pytest.raises(ConfigError, match=says):
        load_purposes(path)


def test_a_missing_file_of_purposes_is_refused():
    with pytest.raises(ConfigError, match="YAML file"):
        load_purposes(Path("nowhere.yaml"))


def test_every_kind_has_wordings_here():
    assert {*CONFLICTS, "direction_conflict", "assembled_purpose"} == set(WHOLE_KINDS)
