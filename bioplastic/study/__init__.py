"""A study: a function from conditions to labelled datasets, and all that every experiment does alike."""

from bioplastic.study.bench import Ask, Bench
from bioplastic.study.design import Condition, conditions, grid
from bioplastic.study.learner import Learner, StudyError
from bioplastic.study.study import Runs, Study

__all__ = ["Ask", "Bench", "Condition", "Learner", "Runs", "Study", "StudyError", "conditions", "grid"]
