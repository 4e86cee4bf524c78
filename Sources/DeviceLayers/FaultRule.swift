// What may go wrong, when and where: one rule a fault.
//
//   OPS[@RANGE][!EVENT]:ACTION[,key=value…]
//
//   write@data:EIO,nth=7          the seventh write of file data fails
//   read@4096-4103:EIO,heal=write eight blocks cannot be read until they are written again
//   write!complete:EIO,p=0.01     one write in a hundred is stored, and reported as failed
//   any:delay=lognormal:200us:0.8
//   flush:lie,state=armed
public import BlockDevice
public import SystemPackage

/// One rule of a fault layer. Rules are asked in order; the first that fires says what happens to a request.
public struct FaultRule: Equatable, Sendable {
  /// Where a rule is asked about a request.
  public enum Event: String, Sendable, CaseIterable {
    /// The device takes it.
    case start
    /// The device has served it: what happens now happens to something that is done.
    case complete
  }

  /// Which requests a rule is about.
  public enum Place: Equatable, Sendable {
    /// All of them.
    case anywhere
    /// Those that touch one of these ranges of bytes.
    case bytes([Range<UInt64>])
    /// Those that touch one of these ranges of logical blocks.
    case blocks([Range<UInt64>])
    /// What carries a file's data.
    case data
    /// What does not.
    case metadata
    /// What is done for this inode.
    case inode(UInt64)
    /// Metadata with a name that whoever stands above the device gives its ranges: `super`, `bitmap`, `itable` on a volume.
    case named(String)
  }

  /// What happens to a request.
  public enum Action: Equatable, Sendable {
    /// `EIO` and any other name of an errno: it fails. At the event `complete` it is done nevertheless.
    case fail(Errno)
    /// `eagain`: it is refused, and asked for again 10 µs later.
    case again
    /// `short=BYTES`: only so much is transferred, and reported.
    case short(Int)
    /// `torn=prefix:N`, `suffix:N`, `mask:HEX`: reported as written, but only these logical blocks are stored: the first N, the
    /// last N, or those whose bits are set, from the lowest on.
    case torn(TornBlocks)
    /// `phantom`: reported as written, never stored.
    case phantom
    /// `misdirect=N`: stored so many logical blocks further on, or back where N is negative.
    case misdirect(Int)
    /// `rot=N`: N bits of what is read turn over, and stay so until they are written.
    case rot(Int)
    /// `stuck=N`: N bits of each logical block that is read are one, whatever is written.
    case stuck(Int)
    /// `stale`: a read gets what was there before the last write.
    case stale
    /// `delay=TIME`: it is served later. At the event `complete` it is served now and its end is told later.
    case delay(TimeDistribution)
    /// `hang`: it stays at the device until it is let go.
    case hang
    /// `duplicate`: its end is told twice.
    case duplicate
    /// `lie`: a flush that does nothing and says that it did.
    case lie
    /// `readonly`: from now on the device refuses to be changed.
    case readOnly
    /// `unplug=TIME`: the device is gone, and back after that time.
    case unplug(TimeDistribution)
    /// `thin=BYTES`: writes that need more room than that fail with ENOSPC.
    case thin(UInt64)

    /// Whether bytes read otherwise than the device has them: such damage lies over the device, as long as the layer does.
    public var damages: Bool {
      switch self {
      case .torn, .phantom, .misdirect, .rot, .stuck, .stale: true
      default: false
      }
    }
  }

  /// Which logical blocks of a torn write are stored.
  public enum TornBlocks: Equatable, Sendable {
    case prefix(Int)
    case suffix(Int)
    case mask(UInt64)

    /// Whether block `index` of `count` is stored.
    public func contains(_ index: Int, of count: Int) -> Bool {
      switch self {
      case .prefix(let length): index < length
      case .suffix(let length): index >= count - length
      case .mask(let bits): index < 64 && bits >> UInt64(index) & 1 == 1
      }
    }
  }

  /// What mends a bad place.
  public enum Healing: Equatable, Sendable {
    /// A write to it.
    case onWrite
    /// So many failures.
    case after(Int)
  }

  /// What it is about; empty stands for all operations.
  public var operations: Set<Operation> = []
  public var place = Place.anywhere
  public var event = Event.start
  public var action: Action
  /// It fires from the n-th matching request on, counted from one; alone it means that request only.
  public var nth: Int?
  /// It fires at every n-th matching request.
  public var every: Int?
  /// It fires at most so often.
  public var count: Int?
  /// It fires with this probability.
  public var probability: Double?
  /// It fires only after so many nanoseconds from the attachment of the device.
  public var after: UInt64?
  /// It fires only for so many nanoseconds from the first time.
  public var duration: UInt64?
  /// It fires only in this state of its layer, which begins in the state "start".
  public var state: String?
  /// When it fires the layer goes to this state.
  public var nextState: String?
  public var healing: Healing?
  /// Its text, for messages.
  public var text = ""

  /// A rule about all requests.
  public init(_ action: Action) { self.action = action }

  /// Whether it is about a request, by operation alone.
  func concerns(_ operation: Operation) -> Bool { operations.isEmpty || operations.contains(operation) }
}

/// What is wrong with the text of a rule, a law of times or a model of latencies, and where.
public struct FaultRuleError: Error, Equatable, Sendable, CustomStringConvertible {
  public let text: String
  /// The place of what is wrong, in characters from one on.
  public let column: Int
  public let expectation: String
  public var description: String {
    "'\(text)', column \(column): expected \(expectation)"
  }
}
