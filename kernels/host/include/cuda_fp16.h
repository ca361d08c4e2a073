#pragma once
#include "host_half.h"
