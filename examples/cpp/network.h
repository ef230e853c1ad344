// The network of the deployed file in LiteRT, on the processor.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "deployed.h"
#include "litert.h"

inline void require(LiteRtStatus status, const string& expected) {
  if (status) fail(expected, "LiteRT's status " + std::to_string(status), "copy the file again, or convert it again");
}

template <class Handle, void (*destroy)(Handle)>
struct Owned {
  Handle handle = nullptr;
  Owned() = default;
  Owned(Owned&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept { return std::swap(handle, other.handle), *this; }
  ~Owned() {
    if (handle) destroy(handle);
  }
};
using Buffer = Owned<LiteRtTensorBuffer, LiteRtDestroyTensorBuffer>;

class Network {
 public:
  int outputs = 0;  // scores

  Network(const Bytes& file, const Recipe& recipe, unsigned threads) {
    const LiteRtEnvOption calm[] = {
        {kLiteRtEnvOptionTagAutoRegisterAccelerators, {kLiteRtAnyTypeInt, kLiteRtHwAcceleratorCpu}},
        {kLiteRtEnvOptionTagMinLoggerSeverity, {kLiteRtAnyTypeInt, kLiteRtLogSeverityError}}};
    require(LiteRtCreateEnvironment(2, calm, &environment.handle), "LiteRT to start");
    require(LiteRtCreateModelFromBuffer(environment.handle, file.data(), file.size(), &model.handle), "a whole model");
    require(LiteRtCreateOptions(&options.handle), "LiteRT's options");
    require(LiteRtSetOptionsHardwareAccelerators(options.handle, kLiteRtHwAcceleratorCpu), "LiteRT's options");
    // What LrtGetOpaqueCpuOptionsData writes; the library does not export it.
    const string entries = "num_threads = " + std::to_string(threads) + "\n";
    LiteRtOpaqueOptions more;
    require(LiteRtCreateOpaqueOptions("xnnpack", strdup(entries.c_str()), std::free, &more), "LiteRT's options");
    require(LiteRtAddOpaqueOptions(options.handle, more), "LiteRT's options");
    require(LiteRtCreateCompiledModel(environment.handle, model.handle, options.handle, &compiled.handle),
            "a model that this release of LiteRT can run");
    connect(recipe);
  }

  std::vector<float> scores(const Bytes& pixels) {
    void* memory;
    require(LiteRtLockTensorBuffer(input.handle, &memory, 1), "memory of the input");
    std::memcpy(memory, pixels.data(), pixels.size());
    require(LiteRtUnlockTensorBuffer(input.handle), "memory of the input");
    std::vector<LiteRtTensorBuffer> all;
    for (const Buffer& buffer : buffers) all.push_back(buffer.handle);
    require(LiteRtRunCompiledModel(compiled.handle, 0, 1, &input.handle, all.size(), all.data()), "an inference");
    require(LiteRtLockTensorBuffer(all[place], &memory, 0), "memory of the output");
    std::vector<float> found(outputs);
    for (int i = 0; i < outputs; i++)
      found[i] = kind == kLiteRtElementTypeFloat32 ? static_cast<float*>(memory)[i]
                 : kind == kLiteRtElementTypeUInt8 ? real(static_cast<uint8_t*>(memory)[i])
                                                   : real(static_cast<int8_t*>(memory)[i]);
    require(LiteRtUnlockTensorBuffer(all[place]), "memory of the output");
    if (!std::all_of(found.begin(), found.end(), [](float one) { return std::isfinite(one); }))
      fail("scores", "infinite ones, or no numbers", "copy the file again");
    return found;
  }

 private:
  // Each is destroyed before what stands above it, which it needs.
  Owned<LiteRtEnvironment, LiteRtDestroyEnvironment> environment;
  Owned<LiteRtModel, LiteRtDestroyModel> model;
  Owned<LiteRtOptions, LiteRtDestroyOptions> options;
  Owned<LiteRtCompiledModel, LiteRtDestroyCompiledModel> compiled;
  Buffer input;
  std::vector<Buffer> buffers;  // of the outputs
  size_t place = 0;             // of the scores among them
  int kind = 0;
  LiteRtQuantizationPerTensor levels{1, 0};

  float real(int level) const { return (float(level) - float(levels.zero_point)) * levels.scale; }

  Buffer buffer(const LiteRtRankedTensorType& type, LiteRtTensorBufferRequirements needed, size_t bytes) {
    Buffer made;
    require(LiteRtCreateManagedTensorBufferFromRequirements(environment.handle, &type, needed, &made.handle), "memory");
    size_t held = 0;
    require(LiteRtGetTensorBufferPackedSize(made.handle, &held), "memory");
    if (held < bytes) fail("tensors of one size", "a model that contradicts itself", "copy the file again");
    return made;
  }

  // The input, the output of scores, and with convert --explain that of the last feature map, told by their shapes.
  void connect(const Recipe& recipe) {
    LiteRtSignature all;
    LiteRtParamIndex inputs, count;
    LiteRtTensor tensor;
    LiteRtRankedTensorType type;
    LiteRtTensorBufferRequirements needed;
    require(LiteRtGetModelSignature(model.handle, 0, &all), "a model with inputs and outputs");
    require(LiteRtGetNumSignatureInputs(all, &inputs), "an input");
    require(LiteRtGetNumSignatureOutputs(all, &count), "an output");
    for (size_t i = 0; i < count; i++) {
      require(LiteRtGetSignatureOutputTensorByIndex(all, i, &tensor), "an output");
      require(LiteRtGetRankedTensorType(tensor, &type), "an output of a fixed shape");
      require(LiteRtGetCompiledModelOutputBufferRequirements(compiled.handle, 0, i, &needed), "an output");
      const bool is_scores = type.rank == 2 && type.dimensions[0] == 1 && type.dimensions[1] > 0 && !outputs;
      if (is_scores) outputs = type.dimensions[1], kind = type.element_type, place = i;
      if (is_scores && kind != kLiteRtElementTypeFloat32)
        require(LiteRtGetPerTensorQuantization(tensor, &levels), "an output with a scale");
      buffers.push_back(buffer(type, needed, is_scores ? outputs * (kind == kLiteRtElementTypeFloat32 ? 4 : 1) : 0));
    }
    if (inputs != 1 || count > 2 || (kind != kLiteRtElementTypeFloat32 && kind != kLiteRtElementTypeUInt8 &&
                                     kind != kLiteRtElementTypeInt8))
      fail("a classifier with one input and one output of scores", "another kind of model", "edgedense convert");
    require(LiteRtGetSignatureInputTensorByIndex(all, 0, &tensor), "an input");
    require(LiteRtGetRankedTensorType(tensor, &type), "an input of a fixed shape");
    require(LiteRtGetCompiledModelInputBufferRequirements(compiled.handle, 0, 0, &needed), "an input");
    const int wanted[] = {1, recipe.height, recipe.width, 3};
    const bool is_uint8 = type.element_type == kLiteRtElementTypeUInt8;
    if (!is_uint8 || type.rank != 4 || !std::equal(wanted, wanted + 4, type.dimensions))
      fail("an input of raw pixels, uint8 [1, height, width, 3], as in the recipe", "another one", "edgedense convert");
    input = buffer(type, needed, size_t(3) * recipe.height * recipe.width);
  }
};
