"""What tests of the plan share."""

import pytest

from genome.workflow.plan import Plan
from plan.plans import plan_of


@pytest.fixture(scope="session")
def plan() -> Plan:
    return plan_of()
