# Where things lie. libweft looks for weft/plugins-<major> beside itself, so the build tree and the
# installed tree have the same shape: bin/weft, lib/libweft.so, lib/weft/plugins-<major>/*.so.
file(STRINGS "${PROJECT_SOURCE_DIR}/api/include/weft/plugin.h" weft_abi_line
  REGEX "^#define WEFT_ABI_MAJOR +[0-9]+")
string(REGEX REPLACE "^#define WEFT_ABI_MAJOR +([0-9]+).*" "\\1" WEFT_ABI_MAJOR "${weft_abi_line}")
if(NOT WEFT_ABI_MAJOR MATCHES "^[0-9]+$")
  message(FATAL_ERROR "api/include/weft/plugin.h has no line \"#define WEFT_ABI_MAJOR <number>\".")
endif()

set(WEFT_PLUGIN_SUBDIR "weft/plugins-${WEFT_ABI_MAJOR}")
set(WEFT_BIN_DIR "${PROJECT_BINARY_DIR}/bin")
set(WEFT_LIB_DIR "${PROJECT_BINARY_DIR}/lib")
set(WEFT_PLUGIN_DIR "${WEFT_LIB_DIR}/${WEFT_PLUGIN_SUBDIR}")
set(WEFT_GENERATED_DIR "${PROJECT_BINARY_DIR}/generated")
set(WEFT_INSTALL_PLUGIN_DIR "${CMAKE_INSTALL_LIBDIR}/${WEFT_PLUGIN_SUBDIR}")

set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
file(RELATIVE_PATH weft_bin_to_lib
  "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_FULL_LIBDIR}")
