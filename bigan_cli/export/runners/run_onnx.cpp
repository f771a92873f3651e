// Scores images with a model that 'bigan export' wrote.
//
//   g++ -std=c++17 run_onnx.cpp -I ORT/include -L ORT/lib -Wl,-rpath,ORT/lib -lonnxruntime
//       -o run_onnx
//   ./run_onnx model.onnx a.pgm b.pgm
//
// ORT is an unpacked release of ONNX Runtime, 1.12 or newer. The images are binary PGM (grey) or
// PPM (RGB) of 8 bits and of the model's size; run_onnx.py shows how 'bigan score' prepares others.

#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

// Returns the next number of a PNM header, past white space and comments.
std::int64_t header_number(std::istream& stream) {
  while ((stream >> std::ws) && stream.peek() == '#') {
    stream.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  std::int64_t number = 0;
  stream >> number;
  return number;
}

// Appends the pixels of a PGM or PPM file of this size, row by row, channels last.
void read_pnm(const std::string& path, std::int64_t height, std::int64_t width,
              std::int64_t channels, std::vector<std::uint8_t>& pixels) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path + ": cannot be opened");
  std::string kind(2, ' ');
  stream.read(kind.data(), 2);
  const std::int64_t found = kind == "P5" ? 1 : kind == "P6" ? 3 : 0;
  if (found == 0) throw std::runtime_error(path + ": no binary PGM or PPM file");
  const std::int64_t columns = header_number(stream);
  const std::int64_t rows = header_number(stream);
  if (header_number(stream) != 255) throw std::runtime_error(path + ": not 8 bits a sample");
  stream.get();
  if (columns != width || rows != height || found != channels) {
    std::ostringstream text;
    text << path << ": " << columns << 'x' << rows << " with " << found
         << " channels, but the model takes " << width << 'x' << height << " with " << channels;
    throw std::runtime_error(text.str());
  }
  const std::size_t before = pixels.size();
  pixels.resize(before + static_cast<std::size_t>(height * width * channels));
  stream.read(reinterpret_cast<char*>(pixels.data() + before),
              static_cast<std::streamsize>(pixels.size() - before));
  if (!stream) throw std::runtime_error(path + ": truncated file");
}

int score(const std::string& model, const std::vector<std::string>& paths) {
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "bigan");
  // Wide characters are for Windows.
  const std::basic_string<ORTCHAR_T> file(model.begin(), model.end());
  Ort::Session session(env, file.c_str(), Ort::SessionOptions{});
  // [N, H, W, C]; N is -1 for any number.
  const auto input = session.GetInputTypeInfo(0);
  std::vector<std::int64_t> shape = input.GetTensorTypeAndShapeInfo().GetShape();
  shape[0] = static_cast<std::int64_t>(paths.size());

  std::vector<std::uint8_t> pixels;
  for (const std::string& path : paths) read_pnm(path, shape[1], shape[2], shape[3], pixels);
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::Value images = Ort::Value::CreateTensor<std::uint8_t>(
      memory, pixels.data(), pixels.size(), shape.data(), shape.size());

  const char* input_name = "images";
  const std::array<const char*, 3> wanted = {"score", "p_value", "label"};
  std::vector<Ort::Value> outputs =
      session.Run(Ort::RunOptions{nullptr}, &input_name, &images, 1, wanted.data(), wanted.size());
  const float* scores = outputs[0].GetTensorMutableData<float>();
  const float* p_values = outputs[1].GetTensorMutableData<float>();
  const std::int64_t* labels = outputs[2].GetTensorMutableData<std::int64_t>();
  std::cout << "path,score,p_value,label\n";
  std::cout.precision(9);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    std::cout << paths[i] << ',' << scores[i] << ',' << p_values[i] << ','
              << (labels[i] != 0 ? "anomaly" : "normal") << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: run_onnx MODEL.onnx IMAGE.pgm|IMAGE.ppm ...\n";
    return 2;
  }
  try {
    return score(argv[1], std::vector<std::string>(argv + 2, argv + argc));
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
