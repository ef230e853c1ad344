// The deployed file: a flatbuffer, and behind it a zip archive with labels and recipe, as edgedense/deployed/bundle.py
// reads it. Entries of the archive are not compressed.
#pragma once
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using Bytes = std::vector<unsigned char>;
using Json = nlohmann::ordered_json;
using std::string;
constexpr double NEVER = std::numeric_limits<double>::infinity();  // the threshold of a class that is never named

[[noreturn]] inline void fail(const string& expected, const string& found, const string& hint = "") {
  throw std::runtime_error("expected " + expected + "; found " + found + (hint.empty() ? "" : ". Try: " + hint));
}

inline Bytes content(const string& path) {
  std::error_code error;
  Bytes bytes(std::filesystem::file_size(path, error) * !error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    fail("a file that can be read", error ? error.message() : "one that cannot");
  return bytes;
}

inline size_t number(const Bytes& file, size_t at, size_t count) {
  if (at > file.size() || file.size() - at < count) fail("a whole .tflite file", "a damaged archive at its end");
  size_t value = 0;
  while (count--) value = value << 8 | file[at + count];
  return value;
}

inline string entry(const Bytes& file, const string& name) {
  size_t end = file.size() - std::min<size_t>(file.size(), 22);
  for (const size_t last = end - std::min<size_t>(end, 65535); number(file, end, 4) != 0x06054b50; end--)
    if (end == last) fail("a .tflite file of edgedense", "one without an archive at its end", "edgedense convert");
  const size_t directory = end - number(file, end + 12, 4), before = directory - number(file, end + 16, 4);
  for (size_t at = directory, left = number(file, end + 10, 2); left--;) {
    const size_t length = number(file, at + 28, 2), start = before + number(file, at + 42, 4);
    if (number(file, at + 46 + length, 0) == 0 && string(&file[at + 46], &file[at + 46] + length) == name) {
      const size_t data = start + 30 + number(file, start + 26, 2) + number(file, start + 28, 2);
      const size_t size = number(file, at + 24, 4);
      if (number(file, at + 10, 2) != 0) fail("entries that are not compressed", name + ", which is");
      if (number(file, data, 0) || file.size() - data < size ||
          crc32(0, &file[data], static_cast<uInt>(size)) != number(file, at + 16, 4))
        fail("a whole .tflite file", "a damaged entry " + name, "copy the file again");
      return string(&file[data], &file[data] + size);
    }
    at += 46 + length + number(file, at + 30, 2) + number(file, at + 32, 2);
  }
  return "";
}

struct Recipe {
  std::vector<string> labels;
  string activation;
  std::vector<double> thresholds;  // one for each output, NEVER where the file has null; or none
  int height = 0, width = 0, shorter_side = 0;  // the last is 0 where there is none
  bool crop = false;
};

inline Recipe recipe(const Bytes& file) try {
  const Json all = Json::parse(entry(file, "edgedense.json")), &how = all.at("preprocessing");
  const Json usual = {{"exif", "ignore"}, {"resize", "bilinear"}, {"steps", Json::array()}, {"channels", 3}};
  for (const auto& [name, value] : how.items()) {
    const bool is_read = name == "height" || name == "width" || name == "normalize" || name == "shorter_side";
    const bool is_fit = name == "fit" && (value == "stretch" || value == "crop");
    if (!is_read && !is_fit && !(usual.contains(name) && value == usual[name]))
      fail("preprocessing that this program knows", name + " " + value.dump(), "edgedense run, which knows all of it");
  }
  Recipe found;
  found.height = how.at("height"), found.width = how.at("width");
  found.crop = how.value("fit", "stretch") == "crop", found.activation = all.value("activation", "");
  if (const Json& side = how.value("shorter_side", Json()); !side.is_null()) found.shorter_side = side;
  const int longest = std::max(found.height, found.width);
  if (std::min(found.height, found.width) < 1 || longest > 1 << 14 || found.shorter_side > 1 << 14 ||
      (found.shorter_side && (!found.crop || found.shorter_side < longest)))
    fail("an input that a picture can be cut to", how.dump(), "convert the model again");
  for (const Json& one : all.value("thresholds", Json::array())) {
    found.thresholds.push_back(one.is_null() ? NEVER : one.get<double>());
    if (!one.is_null() && !(found.thresholds.back() >= 0 && found.thresholds.back() <= 1))
      fail("thresholds between 0 and 1", one.dump(), "convert the model again");
  }
  std::istringstream lines(entry(file, "labels.txt"));
  for (string line; std::getline(lines, line);) {
    const auto first = line.find_first_not_of(" \t\r"), last = line.find_last_not_of(" \t\r");
    if (first != string::npos) found.labels.push_back(line.substr(first, last - first + 1));
  }
  return found;
} catch (const Json::exception& error) {
  fail("a recipe in the entry edgedense.json", error.what(), "convert the model again");
}
