// Products with matrices that are kept in the format in which they are stored. A matrix is dequantised into a buffer for
// each product, forwards and backwards, so a graph holds what is stored and nothing else.

#include "../bf16/bf16.h"
#include "../shim.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <stdexcept>

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::Variable;
using torch::autograd::variable_list;

namespace {

// The formats of `Matrix` in mod.rs.
enum Format : int64_t { FLOAT = 0, INT8 = 1, NF4 = 2 };

// The 16 levels of NF4: quantiles of a normal distribution, scaled to [-1, 1] (QLoRA, arXiv 2305.14314, appendix E).
constexpr float LEVELS[16] = {-1.0f,
                              -0.6961928009986877f,
                              -0.5250730514526367f,
                              -0.39491748809814453f,
                              -0.28444138169288635f,
                              -0.18477343022823334f,
                              -0.09105003625154495f,
                              0.0f,
                              0.07958029955625534f,
                              0.16093020141124725f,
                              0.24611230194568634f,
                              0.33791524171829224f,
                              0.44070982933044434f,
                              0.5626170039176941f,
                              0.7229568362236023f,
                              1.0f};

// The number of consecutive weights, in row-major order, that share a scale.
constexpr int64_t BLOCK = 64;

// Blocks `first` to `last` of `n` weights. A byte has two codes, the first in its upper half.
template <class T>
inline __attribute__((always_inline)) void from_nf4(const uint8_t *codes, const float *absmax, T *out, int64_t first,
                                                    int64_t last, int64_t n) {
  for (int64_t b = first; b < last; b++) {
    T table[16];
    for (int i = 0; i < 16; i++) narrow(LEVELS[i] * absmax[b], table[i]);
    int64_t end = std::min(n, (b + 1) * BLOCK);
    for (int64_t i = b * BLOCK; i < end; i++) out[i] = table[codes[i / 2] >> (i % 2 ? 0 : 4) & 15];
  }
}

void to_nf4(const float *x, uint8_t *codes, float *absmax, int64_t first, int64_t last, int64_t n) {
  for (int64_t b = first; b < last; b++) {
    int64_t start = b * BLOCK, end = std::min(n, start + BLOCK);
    float largest = 0;
    for (int64_t i = start; i < end; i++) largest = std::max(largest, std::fabs(x[i]));
    float scale = largest > 0 ? 1.0f / largest : 0.0f;
    absmax[b] = largest;
    for (int64_t i = start; i < end; i++) {
      float scaled = x[i] * scale;
      int code = 0;
      for (int level = 0; level < 15; level++) code += scaled > (LEVELS[level] + LEVELS[level + 1]) / 2;
      codes[i / 2] = uint8_t(i % 2 ? codes[i / 2] | code : code << 4);
    }
  }
}

template <class T>
inline __attribute__((always_inline)) void from_int8(const int8_t *values, float scale, T *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) narrow(float(values[i]) * scale, out[i]);
}

#define FROM_INT8(T) \
  WIDEST void row_from_int8(const int8_t *values, float scale, T *out, int64_t n) { from_int8(values, scale, out, n); }
FOR_EACH_TYPE(FROM_INT8)

// The memory of the matrix that is being multiplied, for each dtype. It stays for the next one, and is not freed at the
// end of its thread, when libtorch may be gone.
at::Tensor buffer(int64_t out, int64_t in, at::ScalarType kind) {
  thread_local at::Tensor *buffers[2] = {new at::Tensor(), new at::Tensor()};
  at::Tensor &buffer = *buffers[kind == at::kBFloat16];
  if (!buffer.defined() || buffer.numel() < out * in) buffer = at::empty({out * in}, at::dtype(kind));
  return buffer.narrow(0, 0, out * in).view({out, in});
}

// values: (out, in) f32, bf16 or i8, or the codes (ceil(out * in / 2)) u8; scale: (out) or (blocks) f32.
at::Tensor dequantize(int64_t format, const at::Tensor &values, const at::Tensor &scale, int64_t out, int64_t in,
                      at::ScalarType kind) {
  if (!values.is_cpu()) {
    if (format == FLOAT) return values.to(kind);
    if (format == INT8) return values.to(at::kFloat).mul(scale.unsqueeze(1)).to(kind);
    at::Tensor both = at::stack({values.bitwise_right_shift(4), values.bitwise_and(15)}, 1).reshape({-1});
    at::Tensor levels = at::tensor(at::ArrayRef<float>(LEVELS, 16), values.options().dtype(at::kFloat));
    at::Tensor exact = levels.index_select(0, both.to(at::kInt)).narrow(0, 0, out * in);
    return exact.mul(scale.repeat_interleave(BLOCK).narrow(0, 0, out * in)).view({out, in}).to(kind);
  }
  at::Tensor weight = buffer(out, in, kind);
  if (format == FLOAT) return weight.copy_(values);
  by_type(weight, [&](auto type) {
    using T = decltype(type);
    if (format == INT8) {
      at::parallel_for(0, out, grain(in), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
          row_from_int8(data<int8_t>(values) + r * in, data<float>(scale)[r], data<T>(weight) + r * in, in);
      });
    } else {
      at::parallel_for(0, scale.numel(), grain(BLOCK), [&](int64_t begin, int64_t end) {
        from_nf4(data<uint8_t>(values), data<float>(scale), data<T>(weight), begin, end, out * in);
      });
    }
  });
  return weight;
}

// A matrix in one of the formats. What a format has not is undefined.
struct Stored {
  int64_t format;
  at::Tensor values, scale, absmax, table;
  double offset;
  int64_t out, in;

  // The scales of blocks of weights, which are stored in eight bits if there is a `table`: as table[code] * absmax +
  // offset, with one absmax for each 256 of them.
  at::Tensor scales() const {
    if (!table.defined()) return scale;
    at::Tensor factors = absmax.repeat_interleave(256).narrow(0, 0, scale.numel());
    return table.index_select(0, scale.to(at::kInt)).mul_(factors).add_(offset);
  }

  at::Tensor weight(at::ScalarType kind) const {
    if (format == FLOAT && values.scalar_type() == kind) return values;
    return dequantize(format, values, scales(), out, in, kind);
  }
};

Stored stored(int64_t format, const at::Tensor *values, const at::Tensor *scale, const at::Tensor *absmax,
              const at::Tensor *table, double offset, int64_t out, int64_t in) {
  auto part = [](const at::Tensor *tensor) { return tensor ? *tensor : at::Tensor(); };
  return {format, part(values), part(scale), part(absmax), part(table), offset, out, in};
}

// x W^T, or with `transposed` x W.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, bool transposed) {
  if (x.is_cpu() && x.scalar_type() == at::kBFloat16 && bf16::is_best()) return bf16::product(x, weight, transposed);
  return transposed ? x.matmul(weight) : at::linear(x, weight);
}

struct MatrixLinear : Function<MatrixLinear> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &x, const Stored &matrix) {
    ctx->save_for_backward({matrix.values, matrix.scale, matrix.absmax, matrix.table});
    ctx->saved_data["format"] = matrix.format;
    ctx->saved_data["offset"] = matrix.offset;
    ctx->saved_data["out"] = matrix.out;
    ctx->saved_data["in"] = matrix.in;
    return product(x, matrix.weight(x.scalar_type()), false);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    variable_list saved = ctx->get_saved_variables();
    auto integer = [&](const char *name) { return ctx->saved_data[name].toInt(); };
    double offset = ctx->saved_data["offset"].toDouble();
    Stored matrix = {integer("format"), saved[0], saved[1], saved[2], saved[3], offset, integer("out"), integer("in")};
    return {product(grads[0], matrix.weight(grads[0].scalar_type()), true), Variable()};
  }
};

}  // namespace

extern "C" {

// x (rows, in) -> (rows, out), with a gradient of x. Of the matrix, `scale`, `absmax` and `table` may be null.
char *llada_matrix_linear(const at::Tensor *x, int64_t format, const at::Tensor *values, const at::Tensor *scale,
                          const at::Tensor *absmax, const at::Tensor *table, double offset, int64_t rows,
                          int64_t columns, at::Tensor **out) {
  return guarded([&] {
    Stored matrix = stored(format, values, scale, absmax, table, offset, rows, columns);
    *out = new at::Tensor(MatrixLinear::apply(*x, matrix));
  });
}

// The matrix in f32 or bf16, as a copy.
char *llada_matrix_dequantize(int64_t format, const at::Tensor *values, const at::Tensor *scale,
                              const at::Tensor *absmax, const at::Tensor *table, double offset, int64_t rows,
                              int64_t columns, bool bf16, at::Tensor **out) {
  return guarded([&] {
    Stored matrix = stored(format, values, scale, absmax, table, offset, rows, columns);
    at::Tensor weight = matrix.weight(bf16 ? at::kBFloat16 : at::kFloat);
    *out = new at::Tensor(values->is_cpu() ? weight.clone() : weight);
  });
}

// x, contiguous f32 on the CPU -> codes, two a byte, and the scale of each block.
char *llada_matrix_to_nf4(const at::Tensor *x, at::Tensor **codes, at::Tensor **absmax) {
  return guarded([&] {
    int64_t n = x->numel(), blocks = (n + BLOCK - 1) / BLOCK;
    at::Tensor bytes = at::empty({(n + 1) / 2}, at::dtype(at::kByte)), largest = at::empty({blocks}, at::dtype(at::kFloat));
    at::parallel_for(0, blocks, grain(BLOCK), [&](int64_t begin, int64_t end) {
      to_nf4(data<float>(*x), data<uint8_t>(bytes), data<float>(largest), begin, end, n);
    });
    *codes = new at::Tensor(bytes);
    *absmax = new at::Tensor(largest);
  });
}

}  // extern "C"
