# What lets others build against an installed Weft: a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)
set(weft_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Weft")
install(EXPORT WeftTargets NAMESPACE Weft:: DESTINATION "${weft_cmake_dir}")
set(weft_install_plugin_dir "${WEFT_INSTALL_PLUGIN_DIR}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/tools/cmake/WeftConfig.cmake.in" "${PROJECT_BINARY_DIR}/WeftConfig.cmake"
  INSTALL_DESTINATION "${weft_cmake_dir}" PATH_VARS weft_install_plugin_dir)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/WeftConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/WeftConfig.cmake" "${PROJECT_BINARY_DIR}/WeftConfigVersion.cmake"
  DESTINATION "${weft_cmake_dir}")

# Relative to the .pc file itself, so that the tree may be moved.
set(weft_pc_dir "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH weft_pc_to_prefix "${weft_pc_dir}" "${CMAKE_INSTALL_PREFIX}")
file(RELATIVE_PATH weft_pc_libdir "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_LIBDIR}")
file(RELATIVE_PATH weft_pc_includedir "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
configure_file("${PROJECT_SOURCE_DIR}/tools/cmake/weft.pc.in" "${PROJECT_BINARY_DIR}/weft.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/weft.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
