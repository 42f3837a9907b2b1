import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from plumbrule.errors import EndpointError, ModelError
from plumbrule.judging.classifiers import open_classifier


@contextmanager
def server(answer):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
            body = json.dumps(answer(texts)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    serving = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/classify"
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def labels(text):
    unsafe = 0.9 if "BAD" in text else 0.1
    return [{"label": "unsafe", "score": unsafe}, {"label": "safe", "score": 1 - unsafe}]


def test_a_classifier_behind_an_address_is_asked():
    with server(lambda texts: [labels(text) for text in texts]) as address:
        found = open_classifier(address)([("Q", "BAD"), ("Q", "fine")])

    assert found == pytest.approx(np.array([[0.1, 0.9], [0.9, 0.1]]))


@pytest.mark.parametrize(
    "answer", [lambda texts: {"error": "busy"}, lambda texts: [], lambda texts: [[{"label": "x"}]]]
)
def test_an_address_that_answers_something_else_is_said(answer):
    with server(answer) as address, pytest.raises(EndpointError, match="expected labels"):
        open_classifier(address)([("Q", "R")])


def test_an_address_that_nobody_answers_at_is_said():
    with pytest.raises(EndpointError):
        open_classifier("http://127.0.0.1:9/x", timeout_seconds=2)([("Q", "R")])


def test_a_folder_without_a_classifier_is_refused(tmp_path):
    with pytest.raises(ModelError, match="folder"):
        open_classifier("no/such/folder")
    with pytest.raises(ModelError, match="expected a sequence classifier"):
        open_classifier(str(tmp_path))


def test_a_classifier_on_this_machine_is_opened(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "BAD", "fine", "Q"]
    raw = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, "[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(tmp_path)
    BertForSequenceClassification(
        BertConfig(
            vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
            intermediate_size=8, num_labels=3,
        )
    ).save_pretrained(tmp_path)  # fmt: skip

    found = open_classifier(str(tmp_path))([("Q", "BAD"), ("Q", "fine")])

    assert found.shape == (2, 3)
    assert found.sum(axis=1) == pytest.approx(1.0)
