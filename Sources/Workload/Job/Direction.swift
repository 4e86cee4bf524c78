/// Which way the bytes of a read-write pattern go, in fio's words and order.
package enum Direction: String, CaseIterable, Sendable {
  case read, write, trim
}

/// A value for each direction, as fio's `bs=4k,64k,1m` has it.
package struct PerDirection<Value> {
  package var read: Value
  package var write: Value
  package var trim: Value

  package init(read: Value, write: Value, trim: Value) {
    self.read = read
    self.write = write
    self.trim = trim
  }
  /// The same for all.
  package init(_ value: Value) { self.init(read: value, write: value, trim: value) }

  package subscript(_ direction: Direction) -> Value {
    get {
      switch direction {
      case .read: read
      case .write: write
      case .trim: trim
      }
    }
    set {
      switch direction {
      case .read: read = newValue
      case .write: write = newValue
      case .trim: trim = newValue
      }
    }
  }
  package func map<Other, E: Error>(_ body: (Value) throws(E) -> Other) throws(E) -> PerDirection<Other> {
    PerDirection<Other>(read: try body(read), write: try body(write), trim: try body(trim))
  }
}

extension PerDirection: Sendable where Value: Sendable {}
extension PerDirection: Equatable where Value: Equatable {}

extension PerDirection {
  /// Values as fio reads them from a list with commas: of one, it is for all; of two, the second is for writes and trims;
  /// one that is left out is the default.
  init(list: [Value?], default usual: PerDirection<Value>) {
    let first = list.first ?? nil
    if list.count == 1, let first {
      self.init(first)
    } else {
      let second = list.count > 1 ? list[1] : nil
      let third = list.count > 2 ? list[2] : second
      self.init(read: first ?? usual.read, write: second ?? usual.write, trim: third ?? usual.trim)
    }
  }
}

extension PerDirection where Value: Equatable {
  /// As such a list, as short as it can be.
  func list(_ text: (Value) -> String) -> String {
    if read == write && write == trim { return text(read) }
    let two = "\(text(read)),\(text(write))"
    return write == trim ? two : "\(two),\(text(trim))"
  }
}
