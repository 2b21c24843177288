"""What belongs to a run is used by that run."""

from __future__ import annotations

from aion_core.errors import WorkflowUsageError
from aion_core.machine.environment import Environment
from aion_core.machine.kernel import Task, current_task

__all__ = ["task_of"]


def task_of(environment: Environment, thing: object) -> Task:
    """The task that uses a thing of a run now.

    Raises:
        NotInWorkflowError: none does.
        WorkflowUsageError: it is a task of another run.
    """
    task = current_task()
    if task.environment is not environment:
        raise WorkflowUsageError(
            f"{thing!r} belongs to workflow {environment.workflow_id!r} (run {environment.run_id}) "
            f"and was used by workflow {task.environment.workflow_id!r} (run "
            f"{task.environment.run_id}); keep nothing of a run where another one finds it"
        )
    return task
