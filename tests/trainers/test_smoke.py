from conftest import quick
from trainers.run import run_training
def test_all(tmp_path, real_index, synthetic_index):
    for m in ("erm","usb","asb","ffr"):
        r=run_training(tmp_path, quick(m, "resample"), real_index, synthetic_index)
        print(r.test, r.head.settings["stages"])
        assert not run_training(tmp_path, quick(m, "resample"), real_index, synthetic_index).trained
