// Runs a file of ExecuTorch in the emulated userland: its Python runtime would want PyTorch there, its libraries do not.
//
// executorch count WARM_UP INFERENCES FILE     a mark (see counter.c) before each inference and at the end, as infer.py
// executorch score FILE VALUES SCORES          scores of pictures: float32 [N, 224, 224, 3] and [N, classes], no header
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace executorch::extension::threadpool { // the wheel holds the library, and not this header
class ThreadPool {
public:
    bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool *get_threadpool();
} // namespace executorch::extension::threadpool

using executorch::extension::from_blob;
using executorch::extension::Module;

constexpr int SIDE = 224, CHANNELS = 3, SIZE = SIDE * SIDE * CHANNELS;

static std::vector<float> infer(Module &module, std::vector<float> &channels_first)
{
    auto found = module.forward(from_blob(channels_first.data(), {1, CHANNELS, SIDE, SIDE}));
    if (!found.ok()) {
        std::cerr << "executorch: the inference failed: error " << int(found.error()) << "\n";
        std::exit(1);
    }
    auto scores = found->at(0).toTensor();
    return {scores.const_data_ptr<float>(), scores.const_data_ptr<float>() + scores.numel()};
}

static void count(Module &module, int warm_up, int inferences)
{
    std::vector<float> values(SIZE, 0.5f);
    for (int i = 0; i < warm_up + inferences; i++) {
        if (i >= warm_up)
            getpriority(PRIO_PROCESS, 0);
        infer(module, values);
    }
    getpriority(PRIO_PROCESS, 0);
}

static void score(Module &module, std::istream &pictures, std::ostream &scores)
{
    std::vector<float> values(SIZE), channels_first(SIZE);
    while (pictures.read(reinterpret_cast<char *>(values.data()), SIZE * sizeof(float))) {
        for (int i = 0; i < SIZE; i++)
            channels_first[i % CHANNELS * SIDE * SIDE + i / CHANNELS] = values[i];
        auto found = infer(module, channels_first);
        scores.write(reinterpret_cast<const char *>(found.data()), found.size() * sizeof(float));
    }
}

int main(int count_of_arguments, char **arguments)
{
    std::string what = count_of_arguments == 5 ? arguments[1] : "";
    if (what != "count" && what != "score") {
        std::cerr << "usage: executorch count WARM_UP INFERENCES FILE | executorch score FILE VALUES SCORES\n";
        return 2;
    }
    executorch::extension::threadpool::get_threadpool()->_unsafe_reset_threadpool(1);
    Module module(arguments[what == "count" ? 4 : 2]);
    if (what == "count") {
        count(module, std::atoi(arguments[2]), std::atoi(arguments[3]));
    } else {
        std::ifstream pictures(arguments[3], std::ios::binary);
        std::ofstream scores(arguments[4], std::ios::binary);
        score(module, pictures, scores);
    }
}
