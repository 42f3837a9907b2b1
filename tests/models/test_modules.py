import pytest
import torch

from plumbrule.models.modules import evaluation_mode


def test_training_mode_comes_back_also_after_an_error():
    module = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2)).train()
    module[1].eval()

    def fail():
        with evaluation_mode(module):
            assert not module[0].training
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert [part.training for part in module.modules()] == [True, True, False]
