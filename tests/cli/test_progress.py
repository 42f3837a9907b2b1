from plumbrule.cli.progress import Clock, Lines, progress_bars


class Time:
    now = 0.0

    def __call__(self):
        return self.now


def started(**expected):
    time = Time()
    clock = Clock(time)
    clock.expect(expected)
    return clock, time


def test_a_stage_says_how_long_it_will_still_take():
    clock, time = started()
    clock.told("draft", 0, 100)
    time.now = 60.0
    clock.told("draft", 25, 100)

    assert clock.stage_left() == 180.0
    assert clock.line() == "draft: 25 of 100, 60 s so far, about 3 min left of this stage"


def test_a_stage_that_first_speaks_when_some_is_done_began_before():
    clock, time = started()
    time.now = 60.0
    clock.told("attribution", 8, 32)

    assert clock.stage_left() == 180.0


def test_time_left_falls_while_a_stage_says_nothing():
    clock, time = started()
    clock.told("draft", 0, 100)
    time.now = 60.0
    clock.told("draft", 50, 100)
    time.now = 90.0

    assert clock.stage_left() == 30.0


def test_before_its_first_report_a_stage_is_expected_to_take_as_planned():
    clock, time = started(draft=120.0, revise=300.0)
    clock.told("draft", 0, 10)
    time.now = 20.0

    assert clock.stage_left() == 100.0
    assert clock.whole_left() == 400.0


def test_a_machine_slower_than_planned_is_noticed():
    clock, time = started(draft=60.0, revise=60.0)
    clock.told("draft", 0, 10)
    time.now = 240.0
    clock.told("revise", 0, 10)

    # Four times as long as planned; the first minute is trusted as a minute that came true.
    assert clock.whole_left() == 60.0 * (240 + 60) / (60 + 60)


def test_without_a_plan_nothing_is_said_of_the_whole():
    clock, _ = started()
    clock.told("draft", 0, 10)

    assert clock.whole_left() is None
    assert "in all" not in clock.line()


def test_a_new_stage_is_a_line_and_a_report_of_the_same_stage_is_none():
    said: list[str] = []
    lines = Lines(said.append, clock=Clock(Time()), every=1e6)
    lines.tell("draft", 0, 10)
    lines.tell("draft", 5, 10)
    lines.tell("revise", 0, 10)

    assert [line.split(" ", 1)[1].split(":")[0] for line in said] == ["draft", "revise"]


def test_lines_come_by_themselves_while_a_stage_lasts():
    import threading

    enough = threading.Event()
    said = []

    def write(line):
        said.append(line)
        if len(said) >= 3:
            enough.set()

    lines = Lines(write, clock=Clock(), every=0.01)
    lines.tell("draft", 0, 10)
    with lines.run():
        assert enough.wait(30)

    assert all("draft: 0 of 10" in line for line in said)


def test_lines_go_into_a_file_too_once_its_folder_is_there(tmp_path, capsys):
    folder = tmp_path / "run"
    with progress_bars(log=folder / "progress.log") as tell:
        tell("loading", 0, 1)
        folder.mkdir()
        tell("draft", 0, 10)

    assert "draft: 0 of 10" in (folder / "progress.log").read_text()
    assert "loading: 0 of 1" in capsys.readouterr().err
