"""What can go wrong with somebody's videos. Every message is one sentence.

DataError
├── SourceError    one video, or one clip of it, cannot be used: a row says so, the run goes on
├── AnswerError    the vision model gave nothing usable for a clip: likewise
└── StopError      nothing more can be done: the run ends, what is done stays, it can be repeated
    └── PluginError    a callable that was named does not exist, or does not do what it should
"""


class DataError(Exception):
    """Base of them all."""


class SourceError(DataError):
    """A video or a clip that cannot be read."""


class AnswerError(DataError):
    """An answer of the vision model that holds no caption."""


class StopError(DataError):
    """Trouble that every further clip would meet: a full disk, a dead endpoint, a bad option."""


class PluginError(StopError):
    """A plug-in that cannot be loaded or that gave nonsense."""
