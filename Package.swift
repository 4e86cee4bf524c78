// swift-tools-version: 6.2
import PackageDescription

// Warnings are errors where the project is tested, not where somebody builds it as a dependency.
let warnings: [SwiftSetting] =
  Context.environment["WARNINGS_AS_ERRORS"] == nil ? [] : [.treatAllWarnings(as: .error)]

let settings: [SwiftSetting] =
  [
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .strictMemorySafety(),
  ] + warnings

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

// Eight floors; every arrow runs down (README, "Design").
let package = Package(
  name: "blkdev",
  products: [
    .executable(name: "blkdev-run", targets: ["blkdev-run"]),
    .library(name: "Reactor", targets: ["Reactor"]),
    .library(name: "BlockDevice", targets: ["BlockDevice"]),
    .library(name: "DeviceLayers", targets: ["DeviceLayers"]),
    .library(name: "PageCache", targets: ["PageCache"]),
    .library(name: "Ext2Format", targets: ["Ext2Format"]),
    .library(name: "Ext2", targets: ["Ext2"]),
    .library(name: "Ext2Tools", targets: ["Ext2Tools"]),
    .library(name: "FaultLab", targets: ["FaultLab"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    .target(name: "CLinux", linkerSettings: [.linkedLibrary("aio")]),
    .target(name: "CBlkid", linkerSettings: [.linkedLibrary("blkid")]),
    module("Ext2Format", []),
    module("Reactor", ["CLinux", deque, heap]),
    module("BlockDevice", ["CLinux", "Reactor", system, deque]),
    module("DeviceLayers", ["Reactor", "BlockDevice", system]),
    module("PageCache", ["Reactor", "BlockDevice", deque]),
    module("Ext2Tools", ["CLinux", "Ext2Format", "BlockDevice", system]),
    module("Ext2", ["Ext2Format", "Reactor", "BlockDevice", "PageCache", deque, logging, system]),
    module(
      "Workload",
      [
        "CLinux", "Reactor", "BlockDevice", "DeviceLayers", "PageCache", "Ext2Format", "Ext2Tools", "Ext2", system,
        logging,
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ]),
    module("HostTree", ["CLinux", "Ext2", "Ext2Format", "Reactor", system]),
    module(
      "FaultLab",
      [
        "Reactor", "BlockDevice", "DeviceLayers", "PageCache", "Ext2Format", "Ext2Tools", "Ext2", "Workload", system,
        logging,
      ]),
    .executableTarget(
      name: "blkdev-run",
      dependencies: [
        "CLinux", "CBlkid", "Workload", "FaultLab", "HostTree", "PageCache", "Ext2", "Ext2Format", "Ext2Tools",
        "DeviceLayers", "BlockDevice", "Reactor", system, logging,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),

    .target(
      name: "Support",
      dependencies: [
        "CLinux", "Reactor", "BlockDevice", "PageCache", "Ext2Format", "Ext2Tools", "Ext2", "Workload", "LeakCheck",
        system, logging,
      ],
      path: "Tests/Support",
      swiftSettings: settings),
    .target(name: "LeakCheck", path: "Tests/LeakCheck"),
    .target(
      name: "LogStore", dependencies: ["BlockDevice", "Reactor"], path: "Tests/LogStore", swiftSettings: settings),
    tests("ReactorTests", ["Reactor", "Support"]),
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    tests("BlockDeviceTests", ["BlockDevice", "Reactor", "Support", "CLinux", "AllocationCounter", system]),
    tests("DeviceLayersTests", ["DeviceLayers", "BlockDevice", "Reactor", "Support", system]),
    tests("PageCacheTests", ["PageCache", "BlockDevice", "Reactor", "Support", "FaultLab"]),
    tests("Ext2FormatTests", ["Ext2Format"]),
    tests("Ext2ToolsTests", ["Ext2Tools", "Ext2Format", "BlockDevice", "Reactor", "Support", "Workload", system]),
    tests(
      "Ext2Tests",
      [
        "Ext2", "Ext2Tools", "Ext2Format", "PageCache", "DeviceLayers", "BlockDevice", "Reactor", "Support", "FaultLab",
        "Workload", system,
      ]),
    tests(
      "FaultLabTests",
      [
        "FaultLab", "Ext2", "Ext2Format", "Ext2Tools", "PageCache", "DeviceLayers", "BlockDevice", "Reactor", "Support",
        "Workload", "LogStore", system,
      ]),
    tests("HostTreeTests", ["HostTree", "Ext2", "Support", "Workload", system]),
    tests("WorkloadTests", ["Workload", "DeviceLayers", "Ext2Tools", "Reactor", "Support", system, logging]),
    tests("CommandTests", ["AllocationCounter", "blkdev-run", "DeviceLayers", "Support", "Workload", system]),
  ],
  swiftLanguageModes: [.v6]
)

// The fuzzer of images has no `main` but libFuzzer's, so it is built on demand alone: tools/fuzz.
if Context.environment["BUILD_FUZZER"] != nil {
  package.targets += [
    .target(name: "AllocationLimit", path: "Tests/AllocationLimit"),
    .executableTarget(
      name: "fuzz-images",
      dependencies: [
        "AllocationLimit", "Ext2", "Ext2Format", "Ext2Tools", "PageCache", "BlockDevice", "Reactor", "Support", logging,
      ],
      path: "Tests/FuzzImages", swiftSettings: settings),
  ]
}
