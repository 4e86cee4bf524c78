/// A page's position in its file, counted in pages: one file-system block each.
public struct PageIndex: RawRepresentable, Hashable, Comparable, Sendable {
  /// Pages before this one.
  public let rawValue: UInt64
  /// The page after `rawValue` others.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// The page after `rawValue` others.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  /// The page that many further on.
  public static func + (index: Self, count: Int) -> Self { Self(index.rawValue &+ UInt64(count)) }
  /// How many pages lie from `start` to here; `start` is not after this one.
  public func distance(from start: Self) -> Int { Int(rawValue - start.rawValue) }
}

/// A position on the device, counted in file-system blocks.
public struct DiskBlock: RawRepresentable, Hashable, Comparable, Sendable {
  /// Blocks before this one.
  public let rawValue: UInt64
  /// The block after `rawValue` others.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// The block after `rawValue` others.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  /// The block that many further on.
  public static func + (block: Self, count: Int) -> Self { Self(block.rawValue &+ UInt64(count)) }
}
