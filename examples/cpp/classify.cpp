// Classifies JPEG and PNG pictures with a .tflite that edgedense made, on LiteRT's C API and without Python. README.md
// says how it is built, what it prints and what it refuses.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <iostream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "deployed.h"
#include "network.h"
#include "picture.h"

namespace {

constexpr double ALWAYS = -NEVER;  // the threshold of a class that needs to reach none

// When a class counts as seen: device/prediction.py explains the kinds.
enum class Kind { best, pair, each, values };

struct Rule {
  std::vector<string> labels;
  std::vector<double> thresholds;
  Kind kind = Kind::best;
};

Rule rule(const Recipe& recipe, size_t outputs) {
  const string activation = !recipe.activation.empty() ? recipe.activation : outputs == 1 ? "sigmoid" : "softmax";
  const bool sigmoid = activation == "sigmoid", values = activation == "none";
  if (!sigmoid && !values && activation != "softmax") fail("softmax, sigmoid or none", activation, "edgedense run");
  const auto& own = recipe.thresholds;
  Rule rule{recipe.labels, {}, values ? Kind::values : Kind::best};
  if (!own.empty() && own.size() != outputs) fail("a threshold for each output", std::to_string(own.size()));
  if (rule.labels.empty())
    for (size_t i = 0; i < std::max<size_t>(outputs, values ? 1 : 2); i++)
      rule.labels.push_back(values && outputs == 1 ? "value" : std::to_string(i));
  const size_t classes = rule.labels.size();
  if (classes != outputs && !(outputs == 1 && classes == 2 && !values))
    fail("a label for each of " + std::to_string(outputs) + " outputs", std::to_string(classes));
  rule.thresholds.assign(classes, ALWAYS);
  const bool single = sigmoid && outputs == 1;
  if (classes == 2 && (single || (activation == "softmax" && !own.empty() && own.back() != NEVER))) {
    if (!own.empty() && own.back() != NEVER)
      rule.kind = Kind::pair, rule.thresholds = {1 - own.back(), own.back()};
  } else if (sigmoid) {
    rule.kind = Kind::each, rule.thresholds = own.empty() ? std::vector<double>(classes, 0.5) : own;
  }
  return rule;
}

// As `edgedense run --json`, with every digit.
Json said(const Rule& rule, const std::vector<float>& scores, size_t top) {
  if (rule.kind == Kind::values) {
    Json values;
    for (size_t i = 0; i < scores.size(); i++) values[rule.labels[i]] = scores[i];
    return {{"values", values}};
  }
  std::vector<size_t> order(scores.size()), seen, others;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  for (size_t i : order) {
    const bool is_second = scores.back() >= rule.thresholds.back();  // of a pair
    const bool reached = rule.kind == Kind::pair ? i == size_t(is_second) : scores[i] >= rule.thresholds[i];
    (reached ? seen : others).push_back(i);
  }
  const size_t findings = seen.size();
  for (size_t i : others)
    if (rule.thresholds[i] != NEVER && (rule.kind != Kind::each || seen.size() < top)) seen.push_back(i);
  if (rule.kind != Kind::each && seen.size() > top) seen.resize(top);
  Json listed = Json::array();
  for (size_t i : seen) {
    listed.push_back({{"label", rule.labels[i]}, {"score", scores[i]}});
    if (rule.kind != Kind::best) listed.back()["threshold"] = rule.thresholds[i];
  }
  Json result = findings ? Json{{"label", listed[0]["label"]}, {"score", listed[0]["score"]}}
                         : Json{{"label", nullptr}, {"score", nullptr}};
  if (rule.kind == Kind::each) result["findings"] = Json(listed.begin(), listed.begin() + findings);
  result["top"] = listed;
  return result;
}

int run(const std::vector<string>& words) {
  const string usage = "classify MODEL.tflite PICTURE... [--top N] [--threads N]";
  std::vector<string> files;
  unsigned top = 1, threads = std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  for (size_t i = 0; i < words.size(); i++) {
    unsigned* const value = words[i] == "--top" ? &top : words[i] == "--threads" ? &threads : nullptr;
    if (!value && words[i].rfind("--", 0) == 0) fail(usage, words[i]);
    if (!value) files.push_back(words[i]);
    else if (++i == words.size() || words[i].empty() || words[i].find_first_not_of("0123456789") != string::npos ||
             words[i].size() > 4 || !(*value = std::stoul(words[i])))
      fail("a number from 1 to 9999 behind " + words[i - 1], i < words.size() ? words[i] : "nothing");
  }
  if (files.size() < 2) fail(usage, files.empty() ? "nothing" : "no picture");
  const Bytes model = content(files[0]);
  if (model.size() < 8 || std::memcmp(&model[4], "TFL3", 4)) fail("a .tflite file", files[0] + ", of another kind");
  const Recipe how = recipe(model);
  Network network(model, how, threads);
  const Rule decides = rule(how, network.outputs);
  int code = 0;
  for (size_t i = 1; i < files.size(); i++) try {
    const Bytes pixels = prepared(decoded(content(files[i])), how);
    const auto started = std::chrono::steady_clock::now();
    auto scores = network.scores(pixels);
    const std::chrono::duration<double, std::milli> latency = std::chrono::steady_clock::now() - started;
    if (scores.size() < decides.labels.size()) scores.insert(scores.begin(), 1 - scores[0]);  // of one sigmoid
    Json line{{"file", files[i]}};
    line.update(said(decides, scores, top));
    line["latency_ms"] = latency.count();
    std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  } catch (const std::exception& error) {  // the other pictures are classified all the same
    std::cerr << "classify: " << files[i] << ": " << error.what() << std::endl;
    code = 2;
  }
  return code;
}

}  // namespace

int main(int count, char** words) try {
  return run({words + 1, words + count});
} catch (const std::exception& error) {
  std::cerr << "classify: " << error.what() << std::endl;
  return 2;
}
