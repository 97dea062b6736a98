// The types of gloo's transport that ProcessGroupGloo.hpp names. It holds them through pointers alone.
#pragma once

#include <memory>

namespace gloo::transport {
class Device;
class UnboundBuffer;
}  // namespace gloo::transport
