"""The data engine's configuration: sentences about what makes no sense, and what differs."""

from dataclasses import replace

import pytest

from soul.data.config import (
    CaptionConfig,
    ClipConfig,
    DataConfig,
    FaceConfig,
    ScoreConfig,
    ShardConfig,
    differences,
    problem,
)


def test_the_papers_figures_are_the_defaults() -> None:
    config = DataConfig()
    assert (config.clip.above, config.clip.shortest, config.clip.longest) == (480, 4.0, 5.0)
    assert config.shard.silent == 0.2
    assert problem(config) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (DataConfig(clip=ClipConfig(shortest=6.0)), "clips of 6 to 5 s"),
        (DataConfig(clip=ClipConfig(shortest=0.0)), "clips of 0 to 5 s"),
        (DataConfig(clip=ClipConfig(shortest=0.6)), "clips of 0.6 s are too short"),
        (DataConfig(shard=ShardConfig(clips=0)), "a shard of 0 clips"),
        (DataConfig(shard=ShardConfig(silent=1.0)), "a share of 1 without sound"),
        (DataConfig(score=ScoreConfig(least=4.0)), "a least score of 4 was given"),
        (DataConfig(caption=CaptionConfig(url="http://x/v1")), "'http://x/v1' and ''"),
        (DataConfig(caption=CaptionConfig(model="vlm")), "'' and 'vlm'"),
    ],
)
def test_nonsense_is_said_in_one_sentence(changed: DataConfig, words: str) -> None:
    sentence = problem(changed)
    assert sentence is not None
    assert words in sentence
    assert "\n" not in sentence


def test_differences_are_named_with_both_values() -> None:
    old = DataConfig()
    new = replace(old, face=FaceConfig(share=0.5))
    assert differences(old.to_json(), old.to_json()) == []
    assert differences(old.to_json(), new.to_json()) == ["face.share was 0.8, is 0.5"]
    assert differences({}, {"clip": {"above": 3}}) == ["clip.above was None, is 3"]
