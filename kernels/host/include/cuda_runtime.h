#pragma once
#include "host_device.h"
