"""Each kind of contradiction in many constructions, and their look-alikes from ordinary papers."""

import pytest

from plumbrule.oversight.papers import check_whole, read_paper

CONFLICTS = {
    "design_conflict": [
        ("Participants drew a folded slip from a hat to learn their group.",
         "Membership in the treatment group was entirely voluntary."),
        ("Block randomization with a block size of four was used to form the groups.",
         "Placement in the treatment arm depended on the wishes of the families."),
        ("This is a randomized controlled trial.",
         "Clinicians decided which patients entered the treatment arm."),
        ("Scoring was done by assistants who had no knowledge of group assignment.",
         "The assistants who scored the tapes were aware of the group of each child."),
        ("Videos were coded by two raters masked to condition.",
         "Our raters had been informed about the condition of each participant."),
        ("Our predictions were registered online ahead of data collection.",
         "The hypothesis emerged from an inspection of the results."),
        ("The analysis plan was filed with a registry before the first participant was enrolled.",
         "We formulated the hypotheses after looking at the data."),
        ("The institutional review board cleared all procedures.",
         "The study was not reviewed by an ethics committee."),
        ("Each volunteer signed a consent form.", "Participants were never asked for consent."),
        ("No observations were discarded.",
         "Eleven observations were discarded as outliers prior to analysis."),
        ("All questionnaires were retained for analysis.",
         "We dropped nine questionnaires with implausible answers."),
        ("The entire study was run at one clinic.",
         "Patients were recruited in seven clinics."),
    ],
    "direction_conflict": [
        ("Compared with the control group, the treatment group slept longer.",
         "Sleep was shorter in the treatment group than in the control group."),
        ("Reading speed increased with training.",
         "The drop in reading speed deserves further study."),
        ("Mood improved in the treatment group.", "Mood deteriorated in the treatment group."),
        ("Cortisol was reduced by the treatment.", "The treatment raised cortisol."),
        ("Hours of practice and accuracy were positively correlated.",
         "The more hours people practiced, the lower their accuracy was."),
        ("The advantage of the treatment group in vocabulary was large.",
         "Vocabulary was smaller in the treatment group than in the control group."),
        ("There was no difference between the groups in balance.",
         "Balance was better in the treatment group than in the control group."),
        ("Women rated the music higher than men did.",
         "Men rated the music higher than women did."),
        ("Fewer relapses occurred in the treatment group.",
         "More relapses occurred in the treatment group than in the control group."),
        ("Attention rose over the course of the program.",
         "Why attention fell over the course of the program remains unknown."),
        ("Those who were treated made more calls than those who were not.",
         "Those who were treated made fewer calls than those who were not."),
    ],
    "sample_conflict": [
        ("The cohort consisted of toddlers.", "All participants were older adults."),
        ("Participants ranged in age from 20 to 35 years.",
         "Everyone in our sample was over 70 years."),
        ("We interviewed 40 nurses.", "The undergraduates we interviewed were all volunteers."),
        ("The study was conducted with patients at a pain clinic.",
         "Our sample was made up of university students."),
        ("We tested 30 prisoners.", "The students who took part were paid."),
        ("Participants were recruited in Vienna.", "Our Japanese participants were polite."),
        ("Recruitment was limited to Danes.", "The study was carried out among Mexicans."),
        ("Our sample came from villages in rural Ghana.",
         "Participants were drawn from large cities in Canada."),
        ("All participants were male.", "We studied 30 women and 28 men."),
        ("Participants were healthy adults.",
         "Everyone in the sample had been diagnosed with depression."),
        ("All participants were beginners.", "The participants were experienced players."),
        ("The sample comprised retirees.", "Participants were full-time office workers."),
    ],
    "scope_conflict": [
        ("Data come from a registry study without any intervention.",
         "Coffee prevents dementia."),
        ("The design was a before-after comparison in one class.",
         "The course produced the gains in reading."),
        ("We computed only correlations.", "Thus walking lowers stress."),
        ("All variables were assessed at a single time point.",
         "Loneliness leads to poor sleep."),
        ("Patient records were reviewed retrospectively.",
         "We conclude that the drug saves lives."),
        ("Nobody was assigned to a condition.", "Gardening makes people happier."),
        ("No comparison group was available.",
         "The improvement was brought about by the program."),
        ("We recruited in one village.", "This is true of all human beings."),
        ("Only men were included.", "Women and men alike profit from the training."),
        ("The participants were students at a single college.",
         "The method works for people of all ages everywhere."),
        ("Naturally occurring groups were compared.",
         "It is beyond doubt that music causes higher empathy."),
    ],
    "timing_conflict": [
        ("Participants were last contacted two months after the course.",
         "The improvement persisted for three years."),
        ("The final interview took place six weeks later.",
         "Twelve months later, the advantage was still there."),
        ("We monitored patients for 30 days.", "Effects were maintained for half a year."),
        ("The course lasted eight weeks.", "The four-week course was free."),
        ("The intervention took ten days.", "After the six weeks of the intervention, all met."),
        ("Sessions were held twice a week for four weeks.",
         "Participants completed 20 of the 24 sessions."),
        ("The program comprised ten weekly lessons.",
         "The program lasted three weeks."),
        ("Testing took place in 2012.", "We used a scale first published in 2017."),
        ("Fieldwork ended in 2009.", "Steps were counted with a device launched in 2015."),
        ("Interviews were conducted between 2003 and 2004.",
         "Participants were surveyed in 2011."),
        ("The study was approved in March 2019.", "Data were collected in 2016."),
        ("Each session took 30 minutes.", "The 90-minute sessions were tiring."),
    ],
    "exclusion_conflict": [
        ("Retention was 100%.", "Four people moved away and could not be reached."),
        ("All participants provided follow-up data.",
         "Nine participants did not return for the last visit."),
        ("Nobody was lost to follow-up.", "Those lost to follow-up were younger."),
        ("There was no loss to follow-up.", "The dropout rate was 14%."),
        ("Every participant remained in the study until the end.",
         "Six participants withdrew."),
        ("None of the families dropped out.", "Two families left the study before its end."),
        ("We enrolled 120 patients. Ten patients were removed because of missing forms.",
         "The final sample comprised 115 patients."),
        ("We recruited 64 adults, and four were excluded for low scores.",
         "The analyses are based on 64 adults."),
        ("One hundred and ten people were enlisted; eight were sent home.",
         "The models were fitted to the remaining 108 people."),
        ("Seven participants were removed because of technical failures.",
         "The exclusion of nine participants because of technical failures did not matter."),
        ("Attrition did not occur.", "Attrition was highest among men."),
        ("The sample stayed complete.", "Three participants gave up the training early."),
    ],
}  # fmt: skip
PIECES = [
    ("The exact age of each person is listed in the appendix.",
     "The appendix names the village of residence of each person.",
     "Whether each person is a man or a woman can be looked up online."),
    ("The public file holds the birthday of every pupil.",
     "For every pupil, the public file shows the postal code.",
     "The public file states what rare disease each pupil suffers from."),
    ("Initials of all patients are printed in the supplement.",
     "The supplement gives the job title of each patient.",
     "Dates of birth of all patients are found in the supplement."),
    ("Occupations of all respondents are listed.", "The archive shows each respondent's diagnosis.",
     "The archive gives the parish of every respondent."),
    ("The home address of each family is listed online.",
     "GPS logs of each family can be downloaded.",
     "Online logs show the hours at which the house was empty."),
    ("Coordinates of every home are shared.", "We share the walking routes of all children.",
     "The shared diary shows when no one was at home."),
    ("A map of the households is published.", "The daily commute of each adult is published.",
     "Periods of absence from home are published."),
    ("Maps showing the homes of all participants can be downloaded.",
     "The bus route each participant takes is in the file.",
     "The file tells when the apartment of each participant is unoccupied."),
    ("Voice recordings of each person are available.",
     "Phone numbers of all participants are listed.",
     "The file includes each mother's maiden name."),
    ("The site plan of the laboratory is given in the appendix.",
     "Guards change shifts at six in the morning.",
     "The cameras do not cover the rear entrance."),
]  # fmt: skip
NEGATIVES = [
    # Other studies, other work.
    ("Participants were randomly assigned to groups.",
     "In the trial by Jones (2011), participants chose their group."),
    ("Participants were randomly assigned to groups.",
     "Prior studies let patients pick their own treatment."),
    ("Raters were blind to condition.", "In many studies raters know the condition."),
    ("No one dropped out.", "In a comparable trial, a third of the patients dropped out."),
    ("The follow-up took place after six weeks.",
     "Others have reported that the effect lasted for two years."),
    ("Data were collected in 2010.", "Brown (2018) developed a newer scale."),
    ("We recruited 60 adults.", "Previous research studied children."),
    ("Our sample was German.", "A study with Japanese participants found the same."),
    ("This was an observational study.", "Several trials have shown that exercise causes better "
     "sleep."),
    ("Recall did not differ between the groups.",
     "Earlier studies found higher recall in the treatment group."),
    # Pilots, other experiments, subgroups.
    ("No participants were excluded.", "Two participants of the pilot study were excluded."),
    ("In Experiment 1, raters were blind to condition.",
     "In Experiment 2, raters knew the condition."),
    ("In Study 1, participants were followed for a year.",
     "In Study 2, participants were measured only once."),
    ("Recall was higher in the treatment group than in the control group.",
     "In a subgroup of older patients, recall was lower in the treatment group than in the control "
     "group."),
    ("The sample consisted of 40 women and 40 men.",
     "The secondary analysis included only women."),
    ("Nobody withdrew from the study.", "In the pilot, three people withdrew."),
    ("We recruited adults.", "In a separate survey, we recruited adolescents."),
    # Hypotheticals, plans and limits.
    ("Participants were randomly assigned to groups.",
     "If participants had chosen their group, the effect might have been larger."),
    ("The training lasted six weeks.", "A training of twelve weeks might have larger effects."),
    ("The follow-up took place after six weeks.",
     "It remains to be seen whether the effect lasts for a year."),
    ("Nobody dropped out.", "Had people dropped out, we would have imputed their scores."),
    ("All cases were analyzed.", "Had outliers been excluded, the mean would have been lower."),
    ("We studied adults in Norway.", "Whether this holds in Brazil is an open question."),
    ("All participants were women.", "Future work should include men."),
    ("This was a correlational study.",
     "An experiment is needed to test whether exercise improves mood."),
    ("This was a correlational study.", "We cannot rule out that mood changes exercise."),
    ("There was no control group.",
     "Without a control group, the gains cannot be attributed to the program."),
    ("We recruited at one clinic.", "We do not know whether all patients would benefit."),
    ("Participants were healthy adults.", "Patients might react differently."),
    ("The hypotheses were preregistered.",
     "Hypotheses that are formed after the results are known are of little value."),
    ("The study was approved by the ethics committee.",
     "Without ethics approval the study could not have been done."),
    ("Participants were blind to condition.",
     "Had participants known their group, expectations could explain the effect."),
    # Words that only look alike.
    ("Participants were randomly assigned to groups.",
     "Participants chose one of two snacks after the session."),
    ("Participants were randomly assigned to groups.", "Trials were presented in a fixed order."),
    ("Participants were randomly assigned to groups.",
     "Participants in the treatment group chose the music they liked."),
    ("Participants were randomly assigned to groups.", "Participation was voluntary."),
    ("Participants were randomly assigned to groups.",
     "Sampling was not random; volunteers answered an advertisement."),
    ("The raters were blind to group.", "The raters knew the coding manual well."),
    ("The raters were blind to group.", "Participants were told their group after the study."),
    ("The study was approved by the ethics committee.",
     "The committee had no objections, and no changes were required."),
    ("Participants gave written consent.", "Consent forms were not scanned."),
    ("All participants completed the study.", "Left-handers responded faster."),
    ("No one dropped out.", "Two participants left the question blank."),
    ("No one dropped out.", "Anxiety dropped out of the final model."),
    ("All participants completed the training.", "Participants stopped the timer themselves."),
    ("No data were excluded.", "Participants removed their shoes before the test."),
    ("We recruited 80 adults, of whom 6 were excluded.", "The remaining 74 adults were analyzed."),
    ("Of 90 people invited, 10 declined.", "All 80 adults were analyzed."),
    ("We recruited 80 adults, and 6 were excluded.",
     "The treatment group held 37 adults and the control group 37 adults."),
    ("Six participants were excluded because of illness.",
     "Four participants were excluded because of missing data."),
    ("The training lasted six weeks.", "The waiting period lasted three weeks."),
    ("The training lasted six weeks.", "Participants had practiced for two years before."),
    ("The training lasted six weeks with one session a week.",
     "On average, participants attended five sessions."),
    ("Sessions took 60 minutes.", "The test took 20 minutes."),
    ("Data were collected in 2015.", "The scale was developed in 1998 and translated in 2004."),
    ("Data were collected between 2015 and 2017.", "Participants were interviewed in 2016."),
    ("Data were collected in 2015.", "The data were archived in 2019."),
    ("The follow-up took place after 12 months.",
     "The effect was still present after six months."),
    ("We recruited 80 adults.", "Children of participants were cared for during the sessions."),
    ("We recruited 40 nurses.", "The nurses reported on the patients they had cared for."),
    ("Participants were recruited in Vienna.", "We used the German version of the scale."),
    ("Participants were recruited in Norway.", "The scale was translated from Spanish."),
    ("We recruited 60 students.", "Students of medicine were asked about patients."),
    ("We recruited 60 patients.", "Interviews were conducted by trained students."),
    ("Participants were aged 18 to 45 years.", "Mean age was 31 years."),
    ("Participants were aged 18 to 45 years.", "The device is used by people over 65."),
    ("This was an experiment with random assignment.", "Music causes higher arousal."),
    ("We recruited at one clinic.", "Everyone was tested in a quiet room."),
    # Although, unlike, comparisons within the sample.
    ("Participants were randomly assigned to groups.",
     "Although assignment was random, the groups differed in age."),
    ("Recall was higher in the treatment group than in the control group.",
     "Unlike recall, fluency was lower in the treatment group than in the control group."),
    ("Recall was higher in the treatment group than in the control group.",
     "Although recall was higher in the treatment group, fluency was not."),
    ("Recall was higher in women than in men.", "Fluency was lower in women than in men."),
    ("Pain was lower in the treatment group than in the control group.",
     "Pain was higher in the control group than in the treatment group."),
    ("Errors decreased with training.", "The decrease in errors with training was expected."),
    ("Mood improved in the treatment group.", "The improvement in mood may have been short-lived."),
    ("Older patients recalled less than younger patients.",
     "Recall was higher in the treatment group than in the control group."),
]  # fmt: skip
HARMLESS = [
    ("Exact ages were rounded to decades.", "Postcodes were reduced to regions.",
     "The sex of each case is listed."),
    ("The exact age of each person is listed in the appendix.",
     "Villages of residence were deleted.",
     "Whether each person is a man or a woman can be looked up online."),
    ("The sample held 40 women.", "Most lived in villages.", "Their mean age was 50 years."),
    ("Walking routes were rated for safety.", "Homes were visited twice.",
     "Houses that stood empty were not visited."),
]  # fmt: skip


def write(folder, *, method="We did it.", results="See above.", discussion="It is so.", more=""):
    path = folder / "paper.md"
    path.write_text(
        "# A title\n\n## Abstract\n\nWe tested something.\n\n## Introduction\n\nSome say so.\n\n"
        f"## Method\n\n{method}\n\n## Results\n\n{results}\n\n## Discussion\n\n{discussion}\n\n"
        f"{more}",
        encoding="utf-8",
    )
    return [flaw.kind for flaw in check_whole(read_paper(path)).flaws]


PAIRS = [(kind, *pair) for kind, pairs in CONFLICTS.items() for pair in pairs]


@pytest.mark.parametrize(("kind", "first", "second"), PAIRS, ids=[each[1][:40] for each in PAIRS])
def test_a_contradiction_is_found_once_and_by_no_part_alone(tmp_path, kind, first, second):
    place = "results" if kind == "direction_conflict" else "method"

    assert write(tmp_path, **{place: first}, discussion=second) == [kind]
    assert write(tmp_path, **{place: first}) == []
    assert write(tmp_path, discussion=second) == []


@pytest.mark.parametrize(("kind", "first", "second"), PAIRS, ids=[each[1][:40] for each in PAIRS])
def test_within_one_section_it_is_left_to_those_who_read_the_section(tmp_path, kind, first, second):
    assert write(tmp_path, discussion=f"{first}\n\n{second}") == []


@pytest.mark.parametrize("pieces", PIECES, ids=[each[0][:40] for each in PIECES])
def test_pieces_of_a_purpose_are_found_together_only(tmp_path, pieces):
    first, second, third = pieces
    assert write(tmp_path, method=first, results=second, more=f"## Appendix\n\n{third}\n") == [
        "assembled_purpose"
    ]
    assert write(tmp_path, method=first, results=second) == []


@pytest.mark.parametrize(
    ("first", "second"), NEGATIVES, ids=[f"{number}" for number in range(len(NEGATIVES))]
)
def test_a_look_alike_is_left_alone(tmp_path, first, second):
    assert write(tmp_path, method=first, discussion=second) == []
    assert write(tmp_path, results=first, discussion=second) == []


@pytest.mark.parametrize("pieces", HARMLESS)
def test_pieces_that_are_held_back_serve_no_purpose(tmp_path, pieces):
    first, second, third = pieces
    assert write(tmp_path, method=first, results=second, discussion=third) == []
