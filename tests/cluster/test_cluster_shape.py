import pytest

from support.slurm.shape import DEFAULT, Node


def test_what_is_not_said_of_a_node_is_as_at_narval():
    assert Node.parse("c1") == Node("c1", cpus=48, memory=509952, gpus={})


def test_a_node_with_models_and_mig_instances():
    assert Node.parse("n7:64:1000:a100=4,a100_1g.5gb=2") == Node("n7", 64, 1000, {"a100": 4, "a100_1g.5gb": 2})


@pytest.mark.parametrize("node", DEFAULT, ids=str)
def test_a_node_reads_as_it_is_written(node):
    assert str(Node.parse(str(node))) == str(node)


@pytest.mark.parametrize(
    "text", ["", "C1", "c1:many", "c1:0", "c1:4:-1", "c1:4:100:a100", "c1:4:100:a 100=1", "c1:1:1:a=1:x"]
)
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="expected name") as refused:
        Node.parse(text)
    assert "\n" not in str(refused.value)
